-- What a drop leaves behind.
-- $1 log, $2 name, $3 change, $4 version
UPDATE projection_name
SET change = $3, version = $4
WHERE log_id = $1 AND name = $2
