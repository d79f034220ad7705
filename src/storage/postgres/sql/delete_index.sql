-- Removes a retired index, which has no rows any more.
-- $1 index
DELETE FROM projection_index
WHERE id = $1 AND retired
