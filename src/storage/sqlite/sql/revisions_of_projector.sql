-- The revisions of a projector, by their numbers.
-- ?1 log, ?2 projector; empty: all of them
SELECT r.id, r.projector, r.number, r.form, r.definition, r.description, r.created_at, r.standing, r.halt, r.cursor, r.orders, r.progress
FROM projector_revision r
WHERE r.log_id = ?1 AND (?2 = '' OR r.projector = ?2)
ORDER BY r.number
