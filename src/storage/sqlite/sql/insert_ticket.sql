-- A ticket.
-- ?1 id, ?2 digest, ?3 key, ?4 good until, ?5 target, ?6 created
INSERT INTO ticket (id, digest, key_id, good_until, target, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
