-- Removes some documents of a name.
-- $1 log, $2 name, $3 limit
DELETE FROM projection
WHERE log_id = $1 AND name = $2 AND (log_id, name, id) IN (
    SELECT log_id, name, id FROM projection WHERE log_id = $1 AND name = $2 ORDER BY log_id, name, id LIMIT $3
)
