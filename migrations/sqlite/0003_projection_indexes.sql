-- Declared indexes of projections, and their rows.

CREATE TABLE projection_index (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    log_id     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    -- The name and the definition of the index.
    title      TEXT NOT NULL,
    definition TEXT NOT NULL,
    built      INTEGER NOT NULL DEFAULT 0,
    -- The last document from before that is in it, and how many are.
    upto       TEXT NOT NULL DEFAULT '',
    documents  INTEGER NOT NULL DEFAULT 0,
    -- It is no index any more; its rows are being removed.
    retired    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX projection_index_title ON projection_index (log_id, name, title) WHERE NOT retired;
CREATE INDEX projection_index_unfinished ON projection_index (id) WHERE retired OR NOT built;

CREATE TABLE projection_key (
    index_id INTEGER NOT NULL,
    key      BLOB NOT NULL,
    id       TEXT NOT NULL,
    -- Of an index of a similarity: the pieces of the text.
    pieces   INTEGER NOT NULL,
    PRIMARY KEY (index_id, key, id)
) STRICT, WITHOUT ROWID;

-- How far a projection is: those of its documents that say so.
CREATE INDEX projection_sequence ON projection (log_id, name, sequence_number) WHERE sequence_number > 0;
