-- The rows of names that have none.
-- ?1 log, ?2 names: a JSON list
INSERT INTO projection_name (log_id, name)
SELECT ?1, value FROM json_each(?2)
WHERE true
ON CONFLICT (log_id, name) DO NOTHING
