-- Documents, new ones and others.
-- ?1 log, ?2 documents: a JSON list of lists of name, id, category, stream, state, metadata, version, sequence number, created, updated, change, deleted
INSERT INTO projection (log_id, name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted)
SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(?2)
WHERE true
ON CONFLICT (log_id, name, id) DO UPDATE SET
    category = excluded.category,
    stream = excluded.stream,
    state = excluded.state,
    metadata = excluded.metadata,
    version = excluded.version,
    sequence_number = excluded.sequence_number,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    change = excluded.change,
    deleted = excluded.deleted
