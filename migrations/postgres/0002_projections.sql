-- Projections, and a row for each of their names.

-- The row is the lock under which a name's documents are changed. It is updated by a drop alone, which
-- leaves behind what the name's numbers go on from.
CREATE TABLE projection_name (
    log_id  bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    change  bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (log_id, name)
);

-- A deleted document keeps its row, without its state: its version is never used again.
CREATE TABLE projection (
    log_id          bigint NOT NULL,
    name            text COLLATE "C" NOT NULL,
    id              text COLLATE "C" NOT NULL,
    -- Empty: derived from the whole log, or from the whole category.
    category        text COLLATE "C" NOT NULL,
    stream          text COLLATE "C" NOT NULL,
    state           jsonb NOT NULL,
    metadata        jsonb NOT NULL,
    version         bigint NOT NULL CHECK (version >= 1),
    -- 0: not said.
    sequence_number bigint NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    change          bigint NOT NULL CHECK (change >= 1),
    deleted         boolean NOT NULL,
    PRIMARY KEY (log_id, name, id)
);

CREATE UNIQUE INDEX projection_change ON projection (log_id, name, change);
CREATE INDEX projection_source ON projection (log_id, name, category, stream, id);
