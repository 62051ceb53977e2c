"""The ledger: calls and their attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.create_table(
        "calls",
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("task", sa.Text),
        sa.Column("deployment", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("ms", sa.Double),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("run_id", sa.Text),
        sa.Column("cost_nusd", sa.BigInteger),
        sa.Column("baseline_deployment", sa.Text),
        sa.Column("baseline_nusd", sa.BigInteger),
        schema=schema,
    )
    op.create_index("calls_at", "calls", ["at_ms"], schema=schema)
    op.create_index("calls_role_at", "calls", ["role", "at_ms"], schema=schema)
    op.create_index("calls_deployment_at", "calls", ["deployment", "at_ms"], schema=schema)
    op.create_index("calls_user_run", "calls", ["user_id", "run_id"], schema=schema)
    op.create_index("calls_run", "calls", ["run_id"], schema=schema)
    _create_attempts(schema)


def _create_attempts(schema: str | None) -> None:
    parent = f"{schema}.calls" if schema else "calls"
    op.create_table(
        "attempts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("call_id", sa.Text, sa.ForeignKey(f"{parent}.call_id", ondelete="CASCADE"), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("task", sa.Text),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("local", sa.Boolean, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("run_id", sa.Text),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("ms", sa.Double),
        sa.Column("ttft_ms", sa.Double),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("tokens_estimated", sa.Boolean, nullable=False),
        sa.Column("cost_nusd", sa.BigInteger),
        sa.Column("detail", sa.Text),
        sa.UniqueConstraint("call_id", "seq", name="attempts_call_seq"),
        schema=schema,
    )
    op.create_index("attempts_at", "attempts", ["at_ms"], schema=schema)
    op.create_index("attempts_role_at", "attempts", ["role", "at_ms"], schema=schema)
    op.create_index("attempts_deployment_at", "attempts", ["deployment", "at_ms"], schema=schema)


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    op.drop_table("attempts", schema=schema)
    op.drop_table("calls", schema=schema)
