-- Changes what may change of a log.
-- $1 log, $2 require condition
UPDATE log
SET require_condition = $2
WHERE log_id = $1
RETURNING log_id, name, ordering, lanes, hash_version, require_condition, incarnation, created_at
