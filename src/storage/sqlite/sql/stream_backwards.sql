-- The events of a stream, backwards.
-- ?1 log, ?2 after, ?3 before, ?4 limit, ?5 category, ?6 stream
SELECT lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at
FROM event
WHERE log_id = ?1 AND category = ?5 AND stream = ?6 AND position > ?2 AND position < ?3
ORDER BY position DESC
LIMIT ?4
