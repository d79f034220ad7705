-- The last sequence of each lane, 0 of an empty one.
-- $1 logs, $2 lanes
SELECT coalesce((SELECT max(e.sequence) FROM event e WHERE e.log_id = u.log_id AND e.lane = u.lane), 0)
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS u (log_id, lane, place)
ORDER BY u.place
