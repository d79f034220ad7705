-- One key by its id.
-- $1 id
SELECT id, digest, description, scopes, created_at, expires_at, revoked_at
FROM api_key
WHERE id = $1
