-- Removes all documents of a name.
-- $1 log, $2 name
DELETE FROM projection
WHERE log_id = $1 AND name = $2
