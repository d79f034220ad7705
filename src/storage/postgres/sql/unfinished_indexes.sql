-- Indexes that are to be built or removed.
SELECT l.name, i.name, i.id
FROM projection_index i
JOIN log l ON l.log_id = i.log_id
WHERE i.retired OR NOT i.built
ORDER BY i.id
LIMIT 100
