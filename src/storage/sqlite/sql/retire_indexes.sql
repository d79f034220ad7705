-- Takes all indexes from a name.
-- ?1 log, ?2 name
UPDATE projection_index
SET retired = 1
WHERE log_id = ?1 AND name = ?2 AND NOT retired
