-- The last position of a stream, if it has one.
-- ?1 log, ?2 category, ?3 stream
SELECT max(position)
FROM event
WHERE log_id = ?1 AND category = ?2 AND stream = ?3
