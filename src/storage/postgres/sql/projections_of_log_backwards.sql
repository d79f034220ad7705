-- The documents of a log, by name and id, backwards.
-- $1 log, $2 before name, $3 before id, $4 limit
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND (name, id) < ($2, $3) AND NOT deleted
ORDER BY name DESC, id DESC
LIMIT $4
