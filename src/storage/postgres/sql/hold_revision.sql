-- Holds a revision for a while, if nobody else does; how far it is. The server's clock counts: it is everybody's.
-- $1 id, $2 owner, $3 microseconds
UPDATE projector_revision
SET owner = $2, held_until = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3
WHERE id = $1 AND (owner = $2 OR held_until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
RETURNING cursor, orders, progress
