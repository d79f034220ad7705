-- The revisions of all logs, and whether somebody holds them. Definitions never change: those of a larger id are told.
-- $1 id
SELECT r.id, r.projector, r.number, r.form, CASE WHEN r.id > $1 THEN r.definition ELSE '' END, CASE WHEN r.id > $1 THEN r.description ELSE '' END, r.created_at, r.standing, r.halt, r.cursor, r.orders, r.progress, l.name, (r.held_until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)::int::bigint
FROM projector_revision r
JOIN log l ON l.log_id = r.log_id
ORDER BY r.id
