-- The ids that are taken, of these.
-- $1 log, $2 ids
SELECT event_id
FROM event
WHERE log_id = $1 AND event_id = ANY($2::uuid[])
