-- Removes some rows of a retired index.
-- $1 index, $2 limit
DELETE FROM projection_key
WHERE index_id = $1 AND (index_id, key, id) IN (
    SELECT index_id, key, id FROM projection_key WHERE index_id = $1 ORDER BY index_id, key, id LIMIT $2
)
