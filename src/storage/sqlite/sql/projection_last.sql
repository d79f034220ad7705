-- The last change of a name.
-- ?1 log, ?2 name
SELECT change, updated_at
FROM projection
WHERE log_id = ?1 AND name = ?2
ORDER BY change DESC
LIMIT 1
