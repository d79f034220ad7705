-- One ticket by its id.
-- $1 id
SELECT id, digest, key_id, good_until, target, created_at, first_used_at
FROM ticket
WHERE id = $1
