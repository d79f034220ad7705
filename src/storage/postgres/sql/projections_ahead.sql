-- How many documents of a name come next, at most so many, and the last of them; deleted ones too.
-- $1 log, $2 name, $3 after id, $4 limit
SELECT count(*), coalesce(max(id), $3)
FROM (
    SELECT id FROM projection
    WHERE (log_id, name, id) > ($1, $2, $3) AND log_id = $1 AND name = $2
    ORDER BY log_id, name, id
    LIMIT $4
) AS ahead
