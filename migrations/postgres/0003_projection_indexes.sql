-- Declared indexes of projections, and their rows.

CREATE TABLE projection_index (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id     bigint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    -- The name and the definition of the index.
    title      text COLLATE "C" NOT NULL,
    definition text NOT NULL,
    built      boolean NOT NULL DEFAULT false,
    -- The last document from before that is in it, and how many are.
    upto       text COLLATE "C" NOT NULL DEFAULT '',
    documents  bigint NOT NULL DEFAULT 0,
    -- It is no index any more; its rows are being removed.
    retired    boolean NOT NULL DEFAULT false
);

CREATE UNIQUE INDEX projection_index_title ON projection_index (log_id, name, title) WHERE NOT retired;
CREATE INDEX projection_index_unfinished ON projection_index (id) WHERE retired OR NOT built;

CREATE TABLE projection_key (
    index_id bigint NOT NULL,
    key      bytea NOT NULL,
    id       text COLLATE "C" NOT NULL,
    -- Of an index of a similarity: the pieces of the text.
    pieces   integer NOT NULL,
    PRIMARY KEY (index_id, key, id) INCLUDE (pieces)
);

-- How far a projection is: those of its documents that say so.
CREATE INDEX projection_sequence ON projection (log_id, name, sequence_number) WHERE sequence_number > 0;
