-- Puts rows into indexes.
-- $1 indexes, $2 keys, $3 ids, $4 pieces
INSERT INTO projection_key (index_id, key, id, pieces)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::int[])
ON CONFLICT (index_id, key, id) DO NOTHING
