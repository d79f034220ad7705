-- How far an index is built.
-- $1 index, $2 built, $3 upto, $4 documents
UPDATE projection_index
SET built = $2, upto = $3, documents = $4
WHERE id = $1
