"""Alembic's entry: runs the scripts on the connection (and lock) that ``coreto.stores.migrate`` holds."""

from alembic import context

from coreto.stores.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table_schema=context.config.attributes["schema"],
)
context.run_migrations()
