-- Puts a row into an index.
-- ?1 index, ?2 key, ?3 id, ?4 pieces
INSERT INTO projection_key (index_id, key, id, pieces)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (index_id, key, id) DO NOTHING
