-- Documents of a name after a change, by their last change, deleted ones too. The order names the index.
-- $1 log, $2 name, $3 after change, $4 limit
SELECT name, id, category, stream, state::text, metadata::text, version, sequence_number, created_at, updated_at, change, deleted::int::bigint
FROM projection
WHERE (log_id, name, change) > ($1, $2, $3) AND log_id = $1 AND name = $2
ORDER BY log_id, name, change
LIMIT $4
