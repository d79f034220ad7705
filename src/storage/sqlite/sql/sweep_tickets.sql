-- Tickets that open nothing any more.
-- ?1 created before
DELETE FROM ticket
WHERE created_at < ?1
