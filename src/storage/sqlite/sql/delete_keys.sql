-- Takes rows out of indexes.
-- ?1 rows: a JSON list of lists of index, key in hexadecimal digits, id, pieces
DELETE FROM projection_key
WHERE (index_id, key, id) IN (
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2 FROM json_each(?1)
)
