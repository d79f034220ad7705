-- The documents that share pieces with a text, the most alike first.
-- ?1 index, ?2 pieces (a JSON list), ?3 how many, ?4 at least, ?5 after score, ?6 after id, ?7 limit
SELECT id
FROM (
    SELECT id, CAST(count(*) AS REAL) / (?3 + pieces - count(*)) AS score
    FROM projection_key
    WHERE index_id = ?1 AND key IN (SELECT CAST(value AS BLOB) FROM json_each(?2))
    GROUP BY id, pieces
)
WHERE score >= ?4 AND (score < ?5 OR (score = ?5 AND id > ?6))
ORDER BY score DESC, id
LIMIT ?7
