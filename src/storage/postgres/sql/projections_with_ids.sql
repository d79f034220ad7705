-- Documents of a name, deleted ones too.
-- $1 log, $2 name, $3 ids
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND name = $2 AND id = ANY($3)
