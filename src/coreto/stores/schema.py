"""The tables as the newest migration leaves them (a test compares the two)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

_RowId = BigInteger().with_variant(Integer(), "sqlite")

calls = Table(
    "calls",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("role", Text),
    Column("task", Text),
    Column("deployment", Text),
    Column("outcome", Text, nullable=False),
    Column("ms", Double),
    Column("stream", Boolean, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("label", Text, nullable=False),
    Column("user_id", Text),
    Column("run_id", Text),
    # of all its attempts; NULL = one of them has no known price, or costs are not tracked
    Column("cost_nusd", BigInteger),
    Column("baseline_deployment", Text),
    Column("baseline_nusd", BigInteger),
    Index("calls_at", "at_ms"),
    Index("calls_role_at", "role", "at_ms"),
    Index("calls_deployment_at", "deployment", "at_ms"),
    Index("calls_user_run", "user_id", "run_id"),
    Index("calls_run", "run_id"),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("call_id", Text, ForeignKey("calls.call_id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("role", Text),
    Column("task", Text),
    Column("deployment", Text, nullable=False),
    Column("local", Boolean, nullable=False),
    Column("label", Text, nullable=False),
    Column("user_id", Text),
    Column("run_id", Text),
    Column("stream", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("ms", Double),
    Column("ttft_ms", Double),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("tokens_estimated", Boolean, nullable=False),
    # nano-dollars; NULL = the price is unknown, which is not 0
    Column("cost_nusd", BigInteger),
    # the error in short; never what was asked or answered
    Column("detail", Text),
    UniqueConstraint("call_id", "seq", name="attempts_call_seq"),
    Index("attempts_at", "at_ms"),
    Index("attempts_role_at", "role", "at_ms"),
    Index("attempts_deployment_at", "deployment", "at_ms"),
)

budget_accounts = Table(
    "budget_accounts",
    METADATA,
    # who, period and name in one
    Column("account", Text, primary_key=True),
    Column("who", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("since_ms", BigInteger),
    Column("until_ms", BigInteger),
    Column("spent_nusd", BigInteger, nullable=False),
    # the part of it that the ledger shows too
    Column("known_nusd", BigInteger, nullable=False),
    Column("touched_ms", BigInteger, nullable=False),
    Index("budget_accounts_period", "who", "period"),
    Index("budget_accounts_touched", "touched_ms"),
)

budget_leases = Table(
    "budget_leases",
    METADATA,
    Column("account", Text, ForeignKey("budget_accounts.account", ondelete="CASCADE"), primary_key=True),
    Column("holder", Text, primary_key=True),
    # what this process may still spend
    Column("amount_nusd", BigInteger, nullable=False),
    Column("reserved_nusd", BigInteger, nullable=False),
    # running sums of what it has settled
    Column("spent_nusd", BigInteger, nullable=False),
    Column("known_nusd", BigInteger, nullable=False),
    Column("renewed_ms", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256, hexadecimal; the key itself is nowhere
    Column("digest", Text, nullable=False, unique=True),
    # a JSON list
    Column("models", Text, nullable=False),
    Column("rpm", Integer),
    Column("daily_nusd", BigInteger),
    Column("monthly_nusd", BigInteger),
    Column("speaks_for_others", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Index(
        "api_keys_name",
        "name",
        unique=True,
        sqlite_where=text("revoked_ms IS NULL"),
        postgresql_where=text("revoked_ms IS NULL"),
    ),
)

runs = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    # the run that this one is a branch of
    Column("parent_id", Text),
    Column("user_id", Text),
    Column("label", Text, nullable=False),
    Column("status", Text, nullable=False),
    # the signal that it waits for
    Column("waiting_for", Text),
    # SHA-256 of what was asked, hexadecimal: the same id again must mean the same
    Column("request_digest", Text, nullable=False),
    # who executes it, or did last
    Column("worker", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    # JSON
    Column("result", Text),
    Column("error_code", Text),
    Column("error", Text),
    Index("runs_status", "status"),
    Index("runs_user", "user_id"),
    Index("runs_parent", "parent_id"),
    Index("runs_created", "created_ms"),
    Index("runs_ended", "ended_ms"),
)

run_events = Table(
    "run_events",
    METADATA,
    Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("agent", Text),
    Column("tool", Text),
    # a JSON object
    Column("params", Text, nullable=False),
    # the step that said it
    Column("step", Text),
    # what may be said once only
    Column("once", Text),
    UniqueConstraint("run_id", "once", name="run_events_once"),
)

run_workers = Table(
    "run_workers",
    METADATA,
    Column("worker", Text, primary_key=True),
    # by the database's clock
    Column("beat_ms", BigInteger, nullable=False),
)

prompt_versions = Table(
    "prompt_versions",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("language", Text, primary_key=True),
    # of the source and its fragments, SHA-256, hexadecimal
    Column("digest", Text, nullable=False),
    Column("source", Text, nullable=False),
    # a JSON object: file name → text
    Column("fragments", Text, nullable=False),
    Column("pinned_ms", BigInteger, nullable=False),
)

prompt_labels = Table(
    "prompt_labels",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_ms", BigInteger, nullable=False),
)

prompt_values = Table(
    "prompt_values",
    METADATA,
    Column("user_id", Text, primary_key=True),
    # the prompt's
    Column("name", Text, primary_key=True),
    Column("variable", Text, primary_key=True),
    # JSON
    Column("value", Text, nullable=False),
    Column("set_ms", BigInteger, nullable=False),
)

prompt_exposures = Table(
    "prompt_exposures",
    METADATA,
    Column("experiment", Text, primary_key=True),
    # a digest: who it was is not needed
    Column("subject", Text, primary_key=True),
    Column("variant", Text, nullable=False),
    # of the prompt that was shown
    Column("digest", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Index("prompt_exposures_subject", "subject"),
)

prompt_outcomes = Table(
    "prompt_outcomes",
    METADATA,
    Column("experiment", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("success", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["experiment", "subject"],
        ["prompt_exposures.experiment", "prompt_exposures.subject"],
        ondelete="CASCADE",
    ),
)
