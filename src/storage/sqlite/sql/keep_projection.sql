-- A document, new or not.
-- ?1 log, ?2 name, ?3 id, ?4 category, ?5 stream, ?6 state, ?7 metadata, ?8 version, ?9 sequence number, ?10 created, ?11 updated, ?12 change, ?13 deleted
INSERT INTO projection (log_id, name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
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
