"""The database: SQLite by default, PostgreSQL by URL; one small store per role."""
