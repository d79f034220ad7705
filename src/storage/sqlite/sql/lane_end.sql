-- The last sequence of a lane, 0 of an empty one.
-- ?1 log, ?2 lane
SELECT coalesce(max(sequence), 0)
FROM event
WHERE log_id = ?1 AND lane = ?2
