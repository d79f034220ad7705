-- Documents of a name in the order of their keys in an index.
-- ?1 log, ?2 name, ?3 index, ?4 from key (inclusive), ?5 to key (exclusive), ?6 limit
SELECT p.name, p.id, p.category, p.stream, p.state, p.metadata, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted
FROM projection_key k
CROSS JOIN projection p ON p.log_id = ?1 AND p.name = ?2 AND p.id = k.id
WHERE k.index_id = ?3 AND k.key >= ?4 AND k.key < ?5
ORDER BY k.key
LIMIT ?6
