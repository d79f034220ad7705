-- Holds a revision for a while, if nobody else does; how far it is.
-- ?1 id, ?2 owner, ?3 until when, ?4 now
UPDATE projector_revision
SET owner = ?2, held_until = ?3
WHERE id = ?1 AND (owner = ?2 OR held_until <= ?4)
RETURNING cursor, orders, progress
