-- A ticket.
-- $1 id, $2 digest, $3 key, $4 target, $5 created
INSERT INTO ticket (id, digest, key_id, target, created_at)
VALUES ($1, $2, $3, $4, $5)
