-- The last event of a lane, without its content.
-- ?1 log, ?2 lane
SELECT sequence, position, event_id, recorded_at
FROM event
WHERE log_id = ?1 AND lane = ?2
ORDER BY sequence DESC
LIMIT 1
