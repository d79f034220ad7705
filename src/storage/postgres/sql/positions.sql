-- The last position of each stream that has one.
-- $1 log, $2 categories, $3 streams
SELECT u.category, u.stream, (
    SELECT max(e.position) FROM event e
    WHERE e.log_id = $1 AND e.category = u.category AND e.stream = u.stream
)
FROM unnest($2::text[], $3::text[]) AS u (category, stream)
