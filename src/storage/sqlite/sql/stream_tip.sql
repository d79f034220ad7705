-- The last event of a stream, without its content.
-- ?1 log, ?2 category, ?3 stream
SELECT sequence, position, event_id, recorded_at
FROM event
WHERE log_id = ?1 AND category = ?2 AND stream = ?3
ORDER BY position DESC
LIMIT 1
