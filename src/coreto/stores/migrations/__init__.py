"""The scripts that bring a database up to date (Alembic)."""
