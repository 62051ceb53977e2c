"""Prompts: the content that each version has for good, movable labels, users' values, and what variants came to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.create_table(
        "prompt_versions",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("language", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("fragments", sa.Text, nullable=False),
        sa.Column("pinned_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_table(
        "prompt_labels",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("moved_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_table(
        "prompt_values",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("variable", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("set_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_table(
        "prompt_exposures",
        sa.Column("experiment", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_index("prompt_exposures_subject", "prompt_exposures", ["subject"], schema=schema)
    prefix = "" if schema is None else f"{schema}."
    op.create_table(
        "prompt_outcomes",
        sa.Column("experiment", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment", "subject"],
            [f"{prefix}prompt_exposures.experiment", f"{prefix}prompt_exposures.subject"],
            ondelete="CASCADE",
        ),
        schema=schema,
    )


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    for table in (
        "prompt_outcomes",
        "prompt_exposures",
        "prompt_values",
        "prompt_labels",
        "prompt_versions",
    ):
        op.drop_table(table, schema=schema)
