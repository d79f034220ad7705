-- Logs, their lanes and their events. Text is compared by bytes everywhere; times are microseconds
-- since 1970-01-01T00:00:00Z.

CREATE TABLE log (
    log_id            INTEGER PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    ordering          TEXT NOT NULL CHECK (ordering IN ('log', 'category', 'stream')),
    lanes             INTEGER NOT NULL CHECK (lanes BETWEEN 1 AND 64),
    hash_version      INTEGER NOT NULL,
    require_condition INTEGER NOT NULL,
    incarnation       BLOB NOT NULL,
    created_at        INTEGER NOT NULL
) STRICT;

-- Append-only. max(sequence) of a lane and max(position) of a stream must never go back: nothing
-- may delete a last event.
CREATE TABLE event (
    log_id      INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL CHECK (sequence >= 1),
    category    TEXT NOT NULL,
    stream      TEXT NOT NULL,
    position    INTEGER NOT NULL CHECK (position >= 0),
    event_id    BLOB NOT NULL,
    name        TEXT NOT NULL,
    payload     TEXT NOT NULL,
    metadata    TEXT NOT NULL,
    observed_at INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (log_id, lane, sequence)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX event_position ON event (log_id, category, stream, position);
CREATE UNIQUE INDEX event_event_id ON event (log_id, event_id);
CREATE INDEX event_category ON event (log_id, category, lane, sequence);

CREATE TRIGGER event_is_never_updated BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are never updated'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
