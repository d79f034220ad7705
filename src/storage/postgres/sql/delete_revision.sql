-- Removes a revision.
-- $1 id
DELETE FROM projector_revision WHERE id = $1
