-- The indexes of a name.
-- ?1 log, ?2 name
SELECT id, title, definition, built, upto, documents
FROM projection_index
WHERE log_id = ?1 AND name = ?2 AND NOT retired
ORDER BY id
