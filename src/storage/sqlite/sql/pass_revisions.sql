-- How far revisions are now, of those that stand where their steps began and are held by their owners. A former one stays where it is. Orders are done from the first on.
-- ?1 steps: a JSON list of lists of id, owner, where it began, cursor, progress, halt, orders that are done
UPDATE projector_revision AS of
SET cursor = value ->> 3, progress = value ->> 4, halt = value ->> 5,
    orders = CASE
        WHEN substr(orders, 1, length(value ->> 6)) = value ->> 6 THEN substr(orders, length(value ->> 6) + 1)
        ELSE orders
    END
FROM json_each(?1) AS step
WHERE of.id = step.value ->> 0 AND owner = value ->> 1 AND cursor = value ->> 2 AND halt = '' AND standing IN ('active', 'building')
RETURNING id
