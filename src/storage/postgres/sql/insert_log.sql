-- A new log, under the next free number. Nothing happens if the name or the number is taken.
-- $1 name, $2 ordering, $3 lanes, $4 hash version, $5 require condition, $6 incarnation, $7 created at
INSERT INTO log (log_id, name, ordering, lanes, hash_version, require_condition, incarnation, created_at)
SELECT coalesce(max(log_id), 0) + 1, $1, $2, $3, $4, $5, $6, $7
FROM log
ON CONFLICT DO NOTHING
RETURNING log_id, name, ordering, lanes, hash_version, require_condition, incarnation, created_at
