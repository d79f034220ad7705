-- One log by name.
-- $1 name
SELECT log_id, name, ordering, lanes, hash_version, require_condition, incarnation, created_at
FROM log
WHERE name = $1
