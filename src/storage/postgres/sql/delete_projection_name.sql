-- Removes the row of a name.
-- $1 log, $2 name
DELETE FROM projection_name WHERE log_id = $1 AND name = $2
