-- The events that have these ids.
-- $1 log, $2 ids
SELECT lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at
FROM event
WHERE log_id = $1 AND event_id = ANY($2::uuid[])
