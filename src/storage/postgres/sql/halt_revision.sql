-- Halts a revision, or lets it go on; with an order.
-- $1 id, $2 why, $3 order
UPDATE projector_revision SET halt = $2, orders = orders || $3 WHERE id = $1
