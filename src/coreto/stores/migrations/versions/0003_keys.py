"""The server's keys: who may use it, for what, and how much."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("rpm", sa.Integer),
        sa.Column("daily_nusd", sa.BigInteger),
        sa.Column("monthly_nusd", sa.BigInteger),
        sa.Column("speaks_for_others", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("revoked_ms", sa.BigInteger),
        schema=schema,
    )
    in_force = sa.text("revoked_ms IS NULL")
    op.create_index(
        "api_keys_name",
        "api_keys",
        ["name"],
        unique=True,
        sqlite_where=in_force,
        postgresql_where=in_force,
        schema=schema,
    )


def downgrade() -> None:
    op.drop_table("api_keys", schema=op.get_context().version_table_schema)
