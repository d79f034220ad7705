-- Locks the revisions of a projector, in one order for all, until the transaction ends.
-- $1 log, $2 projector
SELECT id
FROM projector_revision
WHERE log_id = $1 AND projector = $2
ORDER BY id
FOR UPDATE
