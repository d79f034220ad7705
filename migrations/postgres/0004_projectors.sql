-- Projectors: revisions of definitions, who runs them, and how far they are.

CREATE TABLE projector_revision (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id          bigint NOT NULL,
    projector       text COLLATE "C" NOT NULL,
    number          bigint NOT NULL CHECK (number >= 1),
    form            text NOT NULL,
    definition      text NOT NULL,
    description     text NOT NULL,
    created_at      timestamptz NOT NULL,
    standing        text NOT NULL,
    -- Why it does not run; empty: it does.
    halt            text NOT NULL DEFAULT '',
    -- The place past what was applied, and the last event of that.
    cursor          text NOT NULL DEFAULT '',
    sequence_number bigint NOT NULL DEFAULT 0,
    -- Microseconds since 1970; 0: none.
    recorded_at     bigint NOT NULL DEFAULT 0,
    events          bigint NOT NULL DEFAULT 0,
    ignored         text NOT NULL DEFAULT '',
    -- Who runs it, until when, in microseconds since 1970.
    owner           text NOT NULL DEFAULT '',
    held_until      bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX projector_revision_number ON projector_revision (log_id, projector, number);
