"""The ledger's tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

REVISIONS: Final = ("0001", "0002")
"""Every schema that there was, the oldest first: the revisions of `aion_dagster.storage.migrations`."""

HEAD: Final = REVISIONS[-1]
"""The schema below."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite stores no time zone, so it is taken off and put back."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """To UTC without a zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Back to a moment with a zone."""
        return None if value is None else value.replace(tzinfo=UTC)


METADATA = sa.MetaData()
# SQLite counts rows up by itself only where the key is declared INTEGER.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""One row: the revision that the tables have. Alembic's own table, so it is none of `METADATA`."""

BATCHES = sa.Table(
    "batches",
    METADATA,
    sa.Column("seq", _ID, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("manifest_digest", sa.String(64), nullable=False),
    sa.Column("file_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.Column("blocked_reason", sa.Text),
)

RETIRED = sa.Table(
    "retired",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("merged_into", sa.String(64), nullable=False),
    sa.Column("retired_at", UtcDateTime, nullable=False),
)
"""Batches that are no more: their files and tables are in the batch that they were merged into."""

FILES = sa.Table(
    "files",
    METADATA,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    # Source and URI hashed: an index entry of PostgreSQL holds 2,700 bytes, a URI may have more.
    sa.Column("file_key", sa.LargeBinary(16), nullable=False),
    sa.Column("version", sa.String(200), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("basename", sa.Text, nullable=False),
    sa.Column("batch_seq", _ID, sa.ForeignKey("batches.seq"), nullable=False),
    sa.Column("is_current", sa.Boolean, nullable=False),
    sa.UniqueConstraint("file_key", "version", name="files_once"),
    sa.Index("files_basename", "basename"),
)
"""`basename` is folded (see `Ledger.uris_with_name`); `is_current` marks the version seen last of each file that is
still there."""

sa.Index(
    "files_live",
    FILES.c.source,
    FILES.c.id,
    sqlite_where=FILES.c.is_current,
    postgresql_where=FILES.c.is_current,
)

TOMBSTONES = sa.Table(
    "tombstones",
    METADATA,
    sa.Column("file_key", sa.LargeBinary(16), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("deleted_at", UtcDateTime, nullable=False),
)
"""Files that are gone: none of their versions is current."""

COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""`presence` counts how often known files went or came back."""

SOURCES = sa.Table(
    "sources",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("resume", sa.Text),
    sa.Column("listed_at", UtcDateTime),
    sa.Column("scanned_at", UtcDateTime),
    sa.Column("problem", sa.Text),
    sa.Column("failed_at", UtcDateTime),
)
"""How passes over sources ended: when the last one did, and the last that listed everything; `resume` is where the next
one follows changes; `problem` says why the latest attempt failed."""

PASSES = sa.Table(
    "passes",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("last_file", sa.BigInteger, nullable=False),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("unlisted", sa.Text, nullable=False),
)
"""Passes under way that list everything: `last_file` is the highest id of a file when it began, `unlisted` a JSON list of
URI prefixes."""

SEEN = sa.Table(
    "seen",
    METADATA,
    sa.Column("pass_id", sa.String(32), primary_key=True),
    sa.Column("chunk", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("bits", sa.LargeBinary, nullable=False),
)
"""Ids of the known files that a pass has seen, 65,536 bits in a row."""

OPERATIONS = sa.Table(
    "operations",
    METADATA,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("operation", sa.String(200), nullable=False),
    sa.Column("parameters", sa.String(200), nullable=False),
    sa.UniqueConstraint("operation", "parameters", name="operations_once"),
)

RESULTS = sa.Table(
    "results",
    METADATA,
    sa.Column("operation_id", _ID, sa.ForeignKey("operations.id"), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("batch", sa.String(64), nullable=False),
    sqlite_with_rowid=False,
)

BUILDS = sa.Table(
    "builds",
    METADATA,
    sa.Column("asset", sa.String(200), primary_key=True),
    sa.Column("partition", sa.String(64), primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("info", sa.Text, nullable=False),
    sa.Column("built_at", UtcDateTime, nullable=False),
)

CALLS = sa.Table(
    "calls",
    METADATA,
    sa.Column("id", _ID, primary_key=True, autoincrement=True),
    sa.Column("call_key", sa.LargeBinary(16), nullable=False, unique=True),
    sa.Column("sha256", sa.String(64), nullable=False),
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
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("calls_state", "state"),
    sa.Index("calls_day", "day"),
)
"""One row per paid call. `state`: reserved | sent | accepted | settled | failed; `owner` is the process at work; `units`
are the sendings that count against budgets, the last of them on `day` and in `run`, `held` is 1 where the last `begin`
took one; `payload` is zlib-packed JSON."""

CALL_SUMS = sa.Table(
    "call_sums",
    METADATA,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("operation", sa.String(200), primary_key=True),
    sa.Column("engine", sa.String(300), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("credits", sa.Float, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
)
"""What was spent on each day, whatever became of the calls later."""

BUDGETS = sa.Table(
    "budgets",
    METADATA,
    sa.Column("scope", sa.String(120), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("credits", sa.Float, nullable=False),
)
"""What was spent: `scope` is library | day:2026-01-31 | month:2026-01 | run:<id>."""

PACES = sa.Table(
    "paces",
    METADATA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("per_minute", sa.Integer, nullable=False),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("held_until", sa.Float, nullable=False),
)

PACE_SLOTS = sa.Table(
    "pace_slots",
    METADATA,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)
"""When each of the last `per_minute` requests of a pace went out, seconds since 1970: a ring."""
