-- The streams of a category by name: one step through the index for each name, however many events it has.
-- $1 log, $2 from (inclusive), $3 after (exclusive), $4 limit, $5 category
WITH RECURSIVE name(value) AS (
    SELECT (
        SELECT e.stream FROM event e
        WHERE e.log_id = $1 AND e.category = $5 AND e.stream >= $2 AND e.stream > $3
        ORDER BY e.stream LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT e.stream FROM event e
        WHERE e.log_id = $1 AND e.category = $5 AND e.stream > name.value
        ORDER BY e.stream LIMIT 1
    )
    FROM name
    WHERE name.value IS NOT NULL
)
SELECT value FROM name WHERE value IS NOT NULL LIMIT $4
