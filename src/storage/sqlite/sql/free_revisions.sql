-- Nobody holds a revision.
UPDATE projector_revision SET held_until = 0 WHERE held_until > 0
