-- API keys, by their ids. Of a secret only the digest is kept.

CREATE TABLE api_key (
    id          text COLLATE "C" PRIMARY KEY,
    digest      text NOT NULL,
    description text NOT NULL,
    -- As JSON.
    scopes      text NOT NULL,
    -- Microseconds since 1970.
    created_at  bigint NOT NULL,
    expires_at  bigint,
    revoked_at  bigint
);

-- Tickets: each opens one tail in the name of a key.
CREATE TABLE ticket (
    id            text COLLATE "C" PRIMARY KEY,
    digest        text NOT NULL,
    key_id        text NOT NULL,
    good_until    bigint,
    -- What a path names, as JSON.
    target        text NOT NULL,
    -- Microseconds since 1970.
    created_at    bigint NOT NULL,
    first_used_at bigint
);

CREATE INDEX ticket_created_at ON ticket (created_at);
