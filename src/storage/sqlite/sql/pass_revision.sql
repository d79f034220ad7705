-- How far a revision is now, if it stands where its step began and its owner holds it. Orders are done from the first on.
-- ?1 id, ?2 owner, ?3 where the step began, ?4 cursor, ?5 progress, ?6 halt, ?7 orders that are done
UPDATE projector_revision
SET cursor = ?4, progress = ?5, halt = ?6,
    orders = CASE WHEN substr(orders, 1, length(?7)) = ?7 THEN substr(orders, length(?7) + 1) ELSE orders END
WHERE id = ?1 AND owner = ?2 AND cursor = ?3 AND halt = '' AND standing <> 'dropped'
