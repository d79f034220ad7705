-- The last event of each lane that has one.
-- $1 logs, $2 lanes
SELECT u.place, e.sequence, e.event_id
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS u (log_id, lane, place)
CROSS JOIN LATERAL (
    SELECT e.sequence, e.event_id
    FROM event e
    WHERE e.log_id = u.log_id AND e.lane = u.lane
    ORDER BY e.sequence DESC
    LIMIT 1
) AS e
