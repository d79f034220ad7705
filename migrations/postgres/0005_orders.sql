-- What a revision is to do, and all that is told of how far it is, as JSON.

ALTER TABLE projector_revision
    ADD COLUMN orders text NOT NULL DEFAULT '',
    ADD COLUMN progress text NOT NULL DEFAULT '{}';
UPDATE projector_revision SET progress = jsonb_build_object(
    'sequence_number', sequence_number, 'recorded_at', nullif(recorded_at, 0), 'events', events,
    'ignored', coalesce(nullif(ignored, ''), '{}')::jsonb
)::text;
ALTER TABLE projector_revision
    DROP COLUMN sequence_number, DROP COLUMN recorded_at, DROP COLUMN events, DROP COLUMN ignored;
