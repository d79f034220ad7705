-- The last change of a name, and whether the name has indexes.
-- $1 log, $2 name
SELECT p.change, p.updated_at, EXISTS (
    SELECT 1 FROM projection_index WHERE log_id = $1 AND name = $2 AND NOT retired
)
FROM (SELECT 1) AS one
LEFT JOIN (
    SELECT change, updated_at FROM projection
    WHERE log_id = $1 AND name = $2
    ORDER BY change DESC
    LIMIT 1
) AS p ON true
