-- A key that is good no longer; one that was revoked before stays as it was.
-- $1 id, $2 at
UPDATE api_key
SET revoked_at = $2
WHERE id = $1 AND revoked_at IS NULL
