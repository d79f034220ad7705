-- Projections, and a row for each of their names.

-- It is updated by a drop alone, which leaves behind what the name's numbers go on from.
CREATE TABLE projection_name (
    log_id  INTEGER NOT NULL,
    name    TEXT NOT NULL,
    change  INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (log_id, name)
) STRICT, WITHOUT ROWID;

-- A deleted document keeps its row, without its state: its version is never used again.
CREATE TABLE projection (
    log_id          INTEGER NOT NULL,
    name            TEXT NOT NULL,
    id              TEXT NOT NULL,
    -- Empty: derived from the whole log, or from the whole category.
    category        TEXT NOT NULL,
    stream          TEXT NOT NULL,
    state           TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    version         INTEGER NOT NULL CHECK (version >= 1),
    -- 0: not said.
    sequence_number INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    change          INTEGER NOT NULL CHECK (change >= 1),
    deleted         INTEGER NOT NULL,
    PRIMARY KEY (log_id, name, id)
) STRICT;

CREATE UNIQUE INDEX projection_change ON projection (log_id, name, change);
CREATE INDEX projection_source ON projection (log_id, name, category, stream, id);
