-- Locks names, in one order for all, until the transaction ends; what a drop left behind.
-- $1 log, $2 names
SELECT name, change, version
FROM projection_name
WHERE log_id = $1 AND name = ANY ($2)
ORDER BY name
FOR UPDATE
