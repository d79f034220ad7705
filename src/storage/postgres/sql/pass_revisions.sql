-- How far revisions are now, of those that stand where their steps began and are held by their owners. A former one stays where it is. Orders are done from the first on.
-- Rows are locked in one order for all.
-- $1 ids, $2 owners, $3 where they began, $4 cursors, $5 progress, $6 halts, $7 orders that are done
WITH step AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS of (id, owner, began, cursor, progress, halt, done)
), locked AS MATERIALIZED (
    SELECT r.id
    FROM projector_revision AS r JOIN step ON step.id = r.id
    WHERE r.owner = step.owner AND r.cursor = step.began AND r.halt = '' AND r.standing IN ('active', 'building')
    ORDER BY r.id
    FOR UPDATE OF r
)
UPDATE projector_revision AS r
SET cursor = step.cursor, progress = step.progress, halt = step.halt,
    orders = CASE
        WHEN substr(r.orders, 1, length(step.done)) = step.done THEN substr(r.orders, length(step.done) + 1)
        ELSE r.orders
    END
FROM step JOIN locked ON locked.id = step.id
WHERE r.id = step.id
RETURNING r.id
