-- How many keys of an index stand in a range.
-- ?1 index, ?2 from key (inclusive), ?3 to key (exclusive)
SELECT count(*)
FROM projection_key
WHERE index_id = ?1 AND key >= ?2 AND key < ?3
