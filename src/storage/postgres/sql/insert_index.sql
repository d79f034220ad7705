-- Begins an index of a name.
-- $1 log, $2 name, $3 title, $4 definition
INSERT INTO projection_index (log_id, name, title, definition)
VALUES ($1, $2, $3, $4)
