-- Documents of a name after a change, by their last change, deleted ones too.
-- ?1 log, ?2 name, ?3 after change, ?4 limit
SELECT name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted
FROM projection
WHERE log_id = ?1 AND name = ?2 AND change > ?3
ORDER BY change
LIMIT ?4
