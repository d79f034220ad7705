-- The last event of a category in a lane, without its content.
-- $1 log, $2 lane, $3 category
SELECT sequence, position, event_id, recorded_at
FROM event
WHERE log_id = $1 AND category = $3 AND lane = $2
ORDER BY sequence DESC
LIMIT 1
