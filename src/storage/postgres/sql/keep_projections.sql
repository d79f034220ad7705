-- Documents, new ones and others.
-- $1 log, $2 names, $3 ids, $4 categories, $5 streams, $6 states, $7 metadata, $8 versions, $9 sequence numbers, $10 created, $11 updated, $12 changes, $13 deleted
INSERT INTO projection (log_id, name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted)
SELECT $1, u.name, u.id, u.category, u.stream, u.state::jsonb, u.metadata::jsonb, u.version, u.sequence_number, u.created_at, u.updated_at, u.change, u.deleted
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
    $10::timestamptz[], $11::timestamptz[], $12::bigint[], $13::boolean[]
) AS u (name, id, category, stream, state, metadata, version, sequence_number, created_at, updated_at, change, deleted)
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
