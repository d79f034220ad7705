-- New events: insert.rs repeats the row of values.
-- log, lane, sequence, category, stream, position, id, name, payload, metadata, observed, occurred, recorded
INSERT INTO event (log_id, lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
