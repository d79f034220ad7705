-- The database on disk, in bytes, whatever else it holds.
SELECT pg_database_size(current_database())
