-- The documents of a log, by name and id.
-- $1 log, $2 after name, $3 after id, $4 limit
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND (name, id) > ($2, $3) AND NOT deleted
ORDER BY name, id
LIMIT $4
