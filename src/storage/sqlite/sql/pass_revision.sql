-- How far a revision is now, if it stands where its step began and its owner holds it.
-- ?1 id, ?2 owner, ?3 where the step began, ?4 cursor, ?5 sequence number, ?6 recorded, ?7 events, ?8 ignored, ?9 halt
UPDATE projector_revision
SET cursor = ?4, sequence_number = ?5, recorded_at = ?6, events = ?7, ignored = ?8, halt = ?9
WHERE id = ?1 AND owner = ?2 AND cursor = ?3 AND halt = '' AND standing <> 'dropped'
