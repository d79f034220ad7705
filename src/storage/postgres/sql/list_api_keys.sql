-- Keys by id.
-- $1 after (exclusive), $2 limit
SELECT id, digest, description, scopes, created_at, expires_at, revoked_at
FROM api_key
WHERE id > $1
ORDER BY id
LIMIT $2
