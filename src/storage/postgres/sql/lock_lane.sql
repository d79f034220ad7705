-- Locks a lane until the transaction ends.
-- $1 log, $2 lane
SELECT lane
FROM lane
WHERE log_id = $1 AND lane = $2
FOR UPDATE
