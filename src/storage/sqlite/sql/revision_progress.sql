-- How far a revision is.
-- ?1 id
SELECT cursor, orders, progress FROM projector_revision WHERE id = ?1
