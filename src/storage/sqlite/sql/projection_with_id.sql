-- A document, deleted or not.
-- ?1 log, ?2 name, ?3 id
SELECT name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted
FROM projection
WHERE log_id = ?1 AND name = ?2 AND id = ?3
