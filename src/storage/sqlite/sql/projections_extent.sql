-- How many documents a name has, and its largest numbers.
-- ?1 log, ?2 name
SELECT count(*) FILTER (WHERE NOT deleted), coalesce(max(change), 0), coalesce(max(version), 0)
FROM projection
WHERE log_id = ?1 AND name = ?2
