-- A new revision; its id.
-- $1 log, $2 projector, $3 number, $4 form, $5 definition, $6 description, $7 created, $8 standing, $9 progress
INSERT INTO projector_revision (log_id, projector, number, form, definition, description, created_at, standing, progress)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id
