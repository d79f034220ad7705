-- New events.
-- $1 log, $2 lanes, $3 sequences, $4 categories, $5 streams, $6 positions, $7 ids, $8 names, $9 payloads, $10 metadata, $11 observed, $12 occurred, $13 recorded
INSERT INTO event (log_id, lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at)
SELECT $1, u.*
FROM unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::uuid[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[]
) AS u
