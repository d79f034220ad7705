-- Takes an index from its name.
-- $1 index
UPDATE projection_index
SET retired = true
WHERE id = $1
