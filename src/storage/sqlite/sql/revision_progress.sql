-- How far a revision is.
-- ?1 id
SELECT cursor, sequence_number, recorded_at, events, ignored FROM projector_revision WHERE id = ?1
