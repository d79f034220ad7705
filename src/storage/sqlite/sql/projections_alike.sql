-- Documents of a name that share pieces with a text, the most alike first.
-- ?1 log, ?2 name, ?3 index, ?4 pieces (a JSON list), ?5 how many, ?6 at least, ?7 after score, ?8 after id, ?9 limit
SELECT p.name, p.id, p.category, p.stream, p.state, p.metadata, p.version, p.sequence_number, p.created_at, p.updated_at, p.change, p.deleted
FROM (
    SELECT id, score FROM (
        SELECT id, CAST(count(*) AS REAL) / (?5 + pieces - count(*)) AS score
        FROM projection_key
        WHERE index_id = ?3 AND key IN (SELECT CAST(value AS BLOB) FROM json_each(?4))
        GROUP BY id, pieces
    )
    WHERE score >= ?6 AND (score < ?7 OR (score = ?7 AND id > ?8))
    ORDER BY score DESC, id
    LIMIT ?9
) AS k
CROSS JOIN projection p ON p.log_id = ?1 AND p.name = ?2 AND p.id = k.id
ORDER BY k.score DESC, k.id
