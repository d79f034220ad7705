-- Takes an index from its name.
-- ?1 index
UPDATE projection_index
SET retired = 1
WHERE id = ?1
