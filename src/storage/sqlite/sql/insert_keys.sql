-- Puts rows into indexes.
-- ?1 rows: a JSON list of lists of index, key in hexadecimal digits, id, pieces
INSERT INTO projection_key (index_id, key, id, pieces)
SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3
FROM json_each(?1)
WHERE true
ON CONFLICT (index_id, key, id) DO NOTHING
