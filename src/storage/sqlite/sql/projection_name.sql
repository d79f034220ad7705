-- What a drop of a name left behind.
-- ?1 log, ?2 name
SELECT change, version
FROM projection_name
WHERE log_id = ?1 AND name = ?2
