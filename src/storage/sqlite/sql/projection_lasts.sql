-- What a drop left of each name, its last change, and whether it has indexes.
-- ?1 log, ?2 names: a JSON list
SELECT dropped.change, dropped.version, last.change, last.updated_at, EXISTS (
    SELECT 1 FROM projection_index WHERE log_id = ?1 AND name = of.value AND NOT retired
)
FROM json_each(?2) AS of
JOIN projection_name AS dropped ON dropped.log_id = ?1 AND dropped.name = of.value
LEFT JOIN projection AS last ON last.log_id = ?1 AND last.name = of.value AND last.change = (
    SELECT max(change) FROM projection WHERE log_id = ?1 AND name = of.value
)
ORDER BY of.key
