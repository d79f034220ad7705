-- Projectors: revisions of definitions, who runs them, and how far they are.

CREATE TABLE projector_revision (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    log_id          INTEGER NOT NULL,
    projector       TEXT NOT NULL,
    number          INTEGER NOT NULL CHECK (number >= 1),
    form            TEXT NOT NULL,
    definition      TEXT NOT NULL,
    description     TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    standing        TEXT NOT NULL,
    -- Why it does not run; empty: it does.
    halt            TEXT NOT NULL DEFAULT '',
    -- The place past what was applied, and the last event of that.
    cursor          TEXT NOT NULL DEFAULT '',
    sequence_number INTEGER NOT NULL DEFAULT 0,
    -- Microseconds since 1970; 0: none.
    recorded_at     INTEGER NOT NULL DEFAULT 0,
    events          INTEGER NOT NULL DEFAULT 0,
    ignored         TEXT NOT NULL DEFAULT '',
    -- Who runs it, until when, in microseconds since 1970.
    owner           TEXT NOT NULL DEFAULT '',
    held_until      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX projector_revision_number ON projector_revision (log_id, projector, number);
