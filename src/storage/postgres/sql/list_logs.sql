-- Logs by name.
-- $1 from (inclusive), $2 after (exclusive), $3 limit
SELECT log_id, name, ordering, lanes, hash_version, require_condition, incarnation, created_at
FROM log
WHERE name >= $1 AND name > $2
ORDER BY name
LIMIT $3
