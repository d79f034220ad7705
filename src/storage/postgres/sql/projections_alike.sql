-- Documents of a name that share pieces with a text, the most alike first.
-- $1 log, $2 name, $3 index, $4 pieces, $5 how many, $6 at least, $7 after score, $8 after id, $9 limit
SELECT p.name, p.id, p.category, p.stream, p.state::text, p.metadata::text, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted::int::bigint
FROM (
    SELECT id, score FROM (
        SELECT id, count(*)::float8 / ($5 + pieces - count(*))::float8 AS score
        FROM projection_key
        WHERE index_id = $3 AND key = ANY($4::bytea[])
        GROUP BY id, pieces
    ) AS scored
    WHERE score >= $6 AND (score < $7 OR (score = $7 AND id > $8))
    ORDER BY score DESC, id
    LIMIT $9
) AS k
CROSS JOIN LATERAL (
    SELECT * FROM projection
    WHERE (log_id, name, id) >= ($1, $2, k.id)
    ORDER BY log_id, name, id
    LIMIT 1
) AS p
WHERE p.log_id = $1 AND p.name = $2 AND p.id = k.id
ORDER BY k.score DESC, k.id
