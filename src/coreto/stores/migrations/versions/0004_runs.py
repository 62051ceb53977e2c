"""Durable runs: what became of each, what it said, and who executes them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("waiting_for", sa.Text),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("result", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("error", sa.Text),
        schema=schema,
    )
    for name, column in (
        ("runs_status", "status"),
        ("runs_user", "user_id"),
        ("runs_parent", "parent_id"),
        ("runs_created", "created_ms"),
        ("runs_ended", "ended_ms"),
    ):
        op.create_index(name, "runs", [column], schema=schema)
    run = "runs.run_id" if schema is None else f"{schema}.runs.run_id"
    op.create_table(
        "run_events",
        sa.Column("run_id", sa.Text, sa.ForeignKey(run, ondelete="CASCADE"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("tool", sa.Text),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("step", sa.Text),
        sa.Column("once", sa.Text),
        sa.UniqueConstraint("run_id", "once", name="run_events_once"),
        schema=schema,
    )
    op.create_table(
        "run_workers",
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("beat_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    for table in ("run_workers", "run_events", "runs"):
        op.drop_table(table, schema=schema)
