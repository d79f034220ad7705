-- A key.
-- ?1 id, ?2 digest, ?3 description, ?4 scopes, ?5 created, ?6 expires, ?7 revoked
INSERT INTO api_key (id, digest, description, scopes, created_at, expires_at, revoked_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
