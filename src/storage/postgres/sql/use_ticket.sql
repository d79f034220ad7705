-- A ticket that was used for the first time.
-- $1 id, $2 at
UPDATE ticket
SET first_used_at = $2
WHERE id = $1 AND first_used_at IS NULL
