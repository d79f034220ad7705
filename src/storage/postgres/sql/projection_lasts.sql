-- The last change of each name, and whether it has indexes.
-- $1 log, $2 names
SELECT last.change, last.updated_at, EXISTS (
    SELECT 1 FROM projection_index WHERE log_id = $1 AND name = of.name AND NOT retired
)
FROM unnest($2::text[]) WITH ORDINALITY AS of (name, place)
LEFT JOIN LATERAL (
    SELECT change, updated_at FROM projection
    WHERE log_id = $1 AND name = of.name
    ORDER BY change DESC
    LIMIT 1
) AS last ON true
ORDER BY of.place
