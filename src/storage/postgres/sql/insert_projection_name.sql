-- The row of a name, if it has none.
-- $1 log, $2 name
INSERT INTO projection_name (log_id, name)
VALUES ($1, $2)
ON CONFLICT (log_id, name) DO NOTHING
