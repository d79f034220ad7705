-- The documents of a name, by id.
-- $1 log, $2 name, $3 after id, $4 limit
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND name = $2 AND id > $3 AND NOT deleted
ORDER BY id
LIMIT $4
