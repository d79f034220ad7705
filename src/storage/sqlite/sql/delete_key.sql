-- Takes a row out of an index.
-- ?1 index, ?2 key, ?3 id
DELETE FROM projection_key
WHERE index_id = ?1 AND key = ?2 AND id = ?3
