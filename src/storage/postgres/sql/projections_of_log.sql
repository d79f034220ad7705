-- The documents of a log, by name and id. A state that is left out is empty.
-- $1 log, $2 after name, $3 after id, $4 limit, $5 what a state must hold, or null
SELECT name, id, category, stream, CASE WHEN $5::jsonb IS NULL OR state @> $5::jsonb THEN state::text ELSE '' END, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND (name, id) > ($2, $3) AND NOT deleted
ORDER BY name, id
LIMIT $4
