-- Halts a revision, or lets it go on.
-- $1 id, $2 why
UPDATE projector_revision SET halt = $2 WHERE id = $1
