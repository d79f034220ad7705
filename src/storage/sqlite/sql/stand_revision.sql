-- What a revision is to those who read.
-- ?1 id, ?2 standing
UPDATE projector_revision SET standing = ?2 WHERE id = ?1
