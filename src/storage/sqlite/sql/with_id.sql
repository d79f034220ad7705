-- The event that has this id.
-- ?1 log, ?2 id
SELECT lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at
FROM event
WHERE log_id = ?1 AND event_id = ?2
