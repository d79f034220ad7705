-- A new event.
-- ?1 log, ?2 lane, ?3 sequence, ?4 category, ?5 stream, ?6 position, ?7 id, ?8 name, ?9 payload, ?10 metadata, ?11 observed, ?12 occurred, ?13 recorded
INSERT INTO event (log_id, lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
