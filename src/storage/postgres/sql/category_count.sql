-- How many events a category has.
-- $1 log, $2 category
SELECT count(*)
FROM event
WHERE log_id = $1 AND category = $2
