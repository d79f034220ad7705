-- Logs, their lanes and their events. Text is compared by bytes everywhere.

CREATE TABLE log (
    log_id            bigint PRIMARY KEY,
    name              text COLLATE "C" NOT NULL UNIQUE,
    ordering          text COLLATE "C" NOT NULL CHECK (ordering IN ('log', 'category', 'stream')),
    lanes             bigint NOT NULL CHECK (lanes BETWEEN 1 AND 64),
    hash_version      bigint NOT NULL,
    require_condition boolean NOT NULL,
    incarnation       uuid NOT NULL,
    created_at        timestamptz NOT NULL
);

-- Never updated: the row is the lock under which a lane is written.
CREATE TABLE lane (
    log_id bigint NOT NULL,
    lane   bigint NOT NULL,
    PRIMARY KEY (log_id, lane)
);

-- Append-only. max(sequence) of a lane and max(position) of a stream must never go back: nothing
-- may delete a last event.
CREATE TABLE event (
    log_id      bigint NOT NULL,
    lane        bigint NOT NULL,
    sequence    bigint NOT NULL CHECK (sequence >= 1),
    category    text COLLATE "C" NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    position    bigint NOT NULL CHECK (position >= 0),
    event_id    uuid NOT NULL,
    name        text COLLATE "C" NOT NULL,
    payload     text COLLATE "C" NOT NULL,
    metadata    text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (log_id, lane, sequence)
);

CREATE UNIQUE INDEX event_position ON event (log_id, category, stream, position);
CREATE UNIQUE INDEX event_event_id ON event (log_id, event_id);
CREATE INDEX event_category ON event (log_id, category, lane, sequence);

-- Holds for every role but superusers, also for the owner that the service may run as.
REVOKE UPDATE, DELETE, TRUNCATE ON event FROM PUBLIC, CURRENT_USER;
