-- The lanes of a new log.
-- $1 log, $2 lanes
INSERT INTO lane (log_id, lane)
SELECT $1, u.lane
FROM unnest($2::bigint[]) AS u (lane)
