-- The documents of a name whose state holds something, by id.
-- $1 log, $2 name, $3 after id, $4 to id (inclusive), $5 what a state must hold, $6 limit
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE log_id = $1 AND name = $2 AND id > $3 AND id <= $4 AND NOT deleted AND state @> $5::jsonb
ORDER BY id
LIMIT $6
