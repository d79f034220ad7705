-- What a revision is to do, and all that is told of how far it is, as JSON.

ALTER TABLE projector_revision ADD COLUMN orders TEXT NOT NULL DEFAULT '';
ALTER TABLE projector_revision ADD COLUMN progress TEXT NOT NULL DEFAULT '{}';
UPDATE projector_revision SET progress = json_object(
    'sequence_number', sequence_number, 'recorded_at', nullif(recorded_at, 0), 'events', events,
    'ignored', json(CASE ignored WHEN '' THEN '{}' ELSE ignored END)
);
ALTER TABLE projector_revision DROP COLUMN sequence_number;
ALTER TABLE projector_revision DROP COLUMN recorded_at;
ALTER TABLE projector_revision DROP COLUMN events;
ALTER TABLE projector_revision DROP COLUMN ignored;
