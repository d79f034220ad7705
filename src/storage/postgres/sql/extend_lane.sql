-- New events at the end of a lane, in one statement, if the lane still ends with this event. What is read
-- here may be older than the lock: then another's row is in the way, and the primary key refuses.
-- $1 log, $2 lane, $3 last id (nil: none), $4 sequences, $5 categories, $6 streams, $7 positions, $8 ids, $9 names, $10 payloads, $11 metadata, $12 observed, $13 occurred, $14 recorded
WITH turn AS (
    SELECT lane
    FROM lane
    WHERE log_id = $1 AND lane = $2
    FOR UPDATE
)
INSERT INTO event (log_id, lane, sequence, category, stream, position, event_id, name, payload, metadata, observed_at, occurred_at, recorded_at)
SELECT $1, $2, u.*
FROM unnest(
    $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::uuid[], $9::text[],
    $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]
) AS u
WHERE EXISTS (SELECT FROM turn)
    AND $3 = coalesce(
        (SELECT e.event_id FROM event e WHERE e.log_id = $1 AND e.lane = $2 ORDER BY e.sequence DESC LIMIT 1),
        '00000000-0000-0000-0000-000000000000'::uuid
    )
