-- Documents of a name in the order of their keys in an index.
-- $1 log, $2 name, $3 index, $4 from key (inclusive), $5 to key (exclusive), $6 limit
SELECT p.name, p.id, p.category, p.stream, p.state::text, p.metadata::text, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted::int::bigint
FROM (
    SELECT key, id FROM projection_key
    WHERE index_id = $3 AND key >= $4 AND key < $5
    ORDER BY index_id, key
    LIMIT $6
) AS k
CROSS JOIN LATERAL (
    SELECT * FROM projection
    WHERE (log_id, name, id) >= ($1, $2, k.id)
    ORDER BY log_id, name, id
    LIMIT 1
) AS p
WHERE p.log_id = $1 AND p.name = $2 AND p.id = k.id
ORDER BY k.key
