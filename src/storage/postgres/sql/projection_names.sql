-- The names that have documents, and how many.
-- $1 log, $2 from (inclusive), $3 after (exclusive), $4 limit
SELECT n.name, (
    SELECT count(*) FROM projection p WHERE p.log_id = $1 AND p.name = n.name AND NOT p.deleted
)
FROM projection_name n
WHERE n.log_id = $1 AND n.name >= $2 AND n.name > $3
    AND EXISTS (SELECT 1 FROM projection p WHERE p.log_id = $1 AND p.name = n.name AND NOT p.deleted)
ORDER BY n.name
LIMIT $4
