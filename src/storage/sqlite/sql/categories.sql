-- The categories of a log by name: one step through the index for each name, however many events it has.
-- ?1 log, ?2 from (inclusive), ?3 after (exclusive), ?4 limit
WITH RECURSIVE name(value) AS (
    SELECT (
        SELECT e.category FROM event e
        WHERE e.log_id = ?1 AND e.category >= ?2 AND e.category > ?3
        ORDER BY e.category LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT e.category FROM event e
        WHERE e.log_id = ?1 AND e.category > name.value
        ORDER BY e.category LIMIT 1
    )
    FROM name
    WHERE name.value IS NOT NULL
)
SELECT value FROM name WHERE value IS NOT NULL LIMIT ?4
