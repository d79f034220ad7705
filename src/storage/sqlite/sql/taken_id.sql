-- Whether an id is taken.
-- ?1 log, ?2 id
SELECT EXISTS (SELECT 1 FROM event WHERE log_id = ?1 AND event_id = ?2)
