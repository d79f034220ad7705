-- Where the changes of a name end: the last one, that of its last drop, and the largest sequence number. An order
-- names the index.
-- $1 log, $2 name
SELECT
    coalesce((SELECT p.change FROM projection p WHERE p.log_id = $1 AND p.name = $2 ORDER BY p.change DESC LIMIT 1), 0),
    coalesce((SELECT n.change FROM projection_name n WHERE n.log_id = $1 AND n.name = $2), 0),
    coalesce((
        SELECT p.sequence_number FROM projection p
        WHERE p.sequence_number > 0 AND p.log_id = $1 AND p.name = $2
            AND (p.log_id, p.name, p.sequence_number) <= ($1, $2, 9223372036854775807)
        ORDER BY p.log_id DESC, p.name DESC, p.sequence_number DESC
        LIMIT 1
    ), 0)
