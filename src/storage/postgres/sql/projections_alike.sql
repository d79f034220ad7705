-- The documents that share pieces with a text, the most alike first.
-- $1 index, $2 pieces, $3 how many, $4 at least, $5 after score, $6 after id, $7 limit
SELECT id
FROM (
    SELECT id, count(*)::float8 / ($3 + pieces - count(*))::float8 AS score
    FROM projection_key
    WHERE index_id = $1 AND key = ANY($2::bytea[])
    GROUP BY id, pieces
) AS scored
WHERE score >= $4 AND (score < $5 OR (score = $5 AND id > $6))
ORDER BY score DESC, id
LIMIT $7
