-- API keys, by their ids. Of a secret only the digest is kept.

CREATE TABLE api_key (
    id          TEXT PRIMARY KEY,
    digest      TEXT NOT NULL,
    description TEXT NOT NULL,
    -- As JSON.
    scopes      TEXT NOT NULL,
    -- Microseconds since 1970.
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

-- Tickets: each opens one tail in the name of a key.
CREATE TABLE ticket (
    id            TEXT PRIMARY KEY,
    digest        TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    good_until    INTEGER,
    -- What a path names, as JSON.
    target        TEXT NOT NULL,
    -- Microseconds since 1970.
    created_at    INTEGER NOT NULL,
    first_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX ticket_created_at ON ticket (created_at);
