-- Takes rows out of indexes.
-- $1 indexes, $2 keys, $3 ids
DELETE FROM projection_key k
USING unnest($1::bigint[], $2::bytea[], $3::text[]) AS u (index_id, key, id)
WHERE k.index_id = u.index_id AND k.key = u.key AND k.id = u.id
