-- A copy of the database as of one moment, packed.
-- ?1 path
VACUUM INTO ?1
