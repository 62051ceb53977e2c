"""The budgets: what was spent under each limit, and what each process has leased of it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    parent = f"{schema}.budget_accounts" if schema else "budget_accounts"
    op.create_table(
        "budget_accounts",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger),
        sa.Column("until_ms", sa.BigInteger),
        sa.Column("spent_nusd", sa.BigInteger, nullable=False),
        sa.Column("known_nusd", sa.BigInteger, nullable=False),
        sa.Column("touched_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_index("budget_accounts_period", "budget_accounts", ["who", "period"], schema=schema)
    op.create_index("budget_accounts_touched", "budget_accounts", ["touched_ms"], schema=schema)
    op.create_table(
        "budget_leases",
        sa.Column(
            "account", sa.Text, sa.ForeignKey(f"{parent}.account", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("amount_nusd", sa.BigInteger, nullable=False),
        sa.Column("reserved_nusd", sa.BigInteger, nullable=False),
        sa.Column("spent_nusd", sa.BigInteger, nullable=False),
        sa.Column("known_nusd", sa.BigInteger, nullable=False),
        sa.Column("renewed_ms", sa.BigInteger, nullable=False),
        schema=schema,
    )


def downgrade() -> None:
    schema = op.get_context().version_table_schema
    op.drop_table("budget_leases", schema=schema)
    op.drop_table("budget_accounts", schema=schema)
