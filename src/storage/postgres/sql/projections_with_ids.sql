-- Documents of a name, deleted ones too. The order names the index: while a table is new, the planner knows nothing
-- of it, and takes any that begins with the log and the name.
-- $1 log, $2 name, $3 ids
SELECT p.name, p.id, p.category, p.stream, p.state::text, p.metadata::text, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted::int::bigint
FROM unnest($3::text[]) AS u (wanted)
CROSS JOIN LATERAL (
    SELECT * FROM projection
    WHERE (log_id, name, id) >= ($1, $2, u.wanted)
    ORDER BY log_id, name, id
    LIMIT 1
) AS p
WHERE p.log_id = $1 AND p.name = $2 AND p.id = u.wanted
