-- The documents of a name that were derived from a source. The order names the index: while a table is new, the
-- planner knows nothing of it, and takes any that begins with the log and the name.
-- $1 log, $2 name, $3 category, $4 stream, $5 limit
SELECT p.name, p.id, p.category, p.stream, p.state::text, p.metadata::text, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted::int::bigint
FROM (
    SELECT * FROM projection
    WHERE (log_id, name, category, stream) >= ($1, $2, $3, $4)
        AND (log_id, name, category, stream) <= ($1, $2, $3, $4) AND NOT deleted
    ORDER BY log_id, name, category, stream, id
    LIMIT $5
) AS p
WHERE p.log_id = $1 AND p.name = $2 AND p.category = $3 AND p.stream = $4
