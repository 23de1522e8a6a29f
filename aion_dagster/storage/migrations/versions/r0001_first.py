"""The first ledger. Those that were made before there were revisions lack what came last, so only that is made.

A revision is frozen: it says for good what the tables were like then, so that `ledger_tables`, which says what they are like
now, can go on without changing what old ledgers are brought up from. What stands in both is meant to.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.String(64)


def upgrade() -> None:
    """The ledger as it is from this revision on."""
    _batches_and_files()
    _sources()
    _results()
    _calls()
    _budgets()


def _table(name: str, *parts: Any, **options: Any) -> None:
    op.create_table(name, *parts, if_not_exists=True, **options)


def _index(name: str, table: str, columns: list[str], **options: Any) -> None:
    op.create_index(name, table, columns, if_not_exists=True, **options)


def _batches_and_files() -> None:
    _table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    _table(
        "batches",
        sa.Column("seq", _ID, primary_key=True, autoincrement=True),
        sa.Column("key", _KEY, nullable=False, unique=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("manifest_digest", _KEY, nullable=False),
        sa.Column("file_count", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("blocked_reason", sa.Text),
    )
    _table(
        "files",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("file_key", sa.LargeBinary(16), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("basename", sa.Text, nullable=False),
        sa.Column("batch_seq", _ID, sa.ForeignKey("batches.seq"), nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.UniqueConstraint("file_key", "version", name="files_once"),
    )
    _index("files_basename", "files", ["basename"])
    where = sa.text("is_current")
    _index("files_live", "files", ["source", "id"], sqlite_where=where, postgresql_where=where)
    _table(
        "tombstones",
        sa.Column("file_key", sa.LargeBinary(16), primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.DateTime, nullable=False),
    )
    _table(
        "counters",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def _sources() -> None:
    _table(
        "sources",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("resume", sa.Text),
        sa.Column("listed_at", sa.DateTime),
        sa.Column("scanned_at", sa.DateTime),
        sa.Column("problem", sa.Text),
        sa.Column("failed_at", sa.DateTime),
    )
    _table(
        "passes",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("last_file", sa.BigInteger, nullable=False),
        sa.Column("began_at", sa.DateTime, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("unlisted", sa.Text, nullable=False),
    )
    _table(
        "seen",
        sa.Column("pass_id", sa.String(32), primary_key=True),
        sa.Column("chunk", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("bits", sa.LargeBinary, nullable=False),
    )


def _results() -> None:
    _table(
        "operations",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("operation", sa.String(200), nullable=False),
        sa.Column("parameters", sa.String(200), nullable=False),
        sa.UniqueConstraint("operation", "parameters", name="operations_once"),
    )
    _table(
        "results",
        sa.Column("operation_id", _ID, sa.ForeignKey("operations.id"), primary_key=True),
        sa.Column("sha256", _KEY, primary_key=True),
        sa.Column("batch", _KEY, nullable=False),
        sqlite_with_rowid=False,
    )
    _table(
        "builds",
        sa.Column("asset", sa.String(200), primary_key=True),
        sa.Column("partition", _KEY, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("info", sa.Text, nullable=False),
        sa.Column("built_at", sa.DateTime, nullable=False),
    )


def _calls() -> None:
    _table(
        "calls",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("call_key", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("sha256", _KEY, nullable=False),
        sa.Column("operation", sa.String(200), nullable=False),
        sa.Column("parameters", sa.String(200), nullable=False),
        sa.Column("engine", sa.String(300), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("units", sa.Integer, nullable=False),
        sa.Column("held", sa.Integer, nullable=False),
        sa.Column("remote_id", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("reason", sa.Text),
        sa.Column("kind", sa.String(80)),
        sa.Column("retryable", sa.Boolean),
        sa.Column("credits", sa.Float, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("milliseconds", sa.Float),
        sa.Column("updated_at", sa.DateTime, nullable=False),
    )
    _index("calls_state", "calls", ["state"])
    _index("calls_day", "calls", ["day"])


def _budgets() -> None:
    _table(
        "call_sums",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("operation", sa.String(200), primary_key=True),
        sa.Column("engine", sa.String(300), primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("credits", sa.Float, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
    )
    _table(
        "budgets",
        sa.Column("scope", sa.String(120), primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("credits", sa.Float, nullable=False),
    )
    _table(
        "paces",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("per_minute", sa.Integer, nullable=False),
        sa.Column("taken", sa.BigInteger, nullable=False),
        sa.Column("held_until", sa.Float, nullable=False),
    )
    _table(
        "pace_slots",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("slot", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
