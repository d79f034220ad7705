-- The documents of a name that were derived from a source.
-- ?1 log, ?2 name, ?3 category, ?4 stream, ?5 limit
SELECT name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted
FROM projection
WHERE log_id = ?1 AND name = ?2 AND category = ?3 AND stream = ?4 AND NOT deleted
ORDER BY id
LIMIT ?5
