-- Documents of a name, deleted ones too.
-- ?1 log, ?2 name, ?3 ids: a JSON list
SELECT p.name, p.id, p.category, p.stream, p.state, p.metadata, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted
FROM json_each(?3) AS wanted
CROSS JOIN projection AS p ON p.log_id = ?1 AND p.name = ?2 AND p.id = wanted.value
