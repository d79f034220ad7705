-- The revisions of all logs.
SELECT r.id, r.projector, r.number, r.form, r.definition, r.description, r.created_at, r.standing, r.halt, r.cursor, r.sequence_number, r.recorded_at, r.events, r.ignored, l.name
FROM projector_revision r
JOIN log l ON l.log_id = r.log_id
ORDER BY r.id
