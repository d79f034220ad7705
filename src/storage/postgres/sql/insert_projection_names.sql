-- The rows of names that have none, in one order for all.
-- $1 log, $2 names
INSERT INTO projection_name (log_id, name)
SELECT $1, name FROM unnest($2) AS of (name) ORDER BY name
ON CONFLICT (log_id, name) DO NOTHING
