-- The events of a lane, backwards.
-- $1 log, $2 lane, $3 after, $4 before, $5 limit
SELECT lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at
FROM event
WHERE log_id = $1 AND lane = $2 AND sequence > $3 AND sequence < $4
ORDER BY sequence DESC
LIMIT $5
