"""The ledger's schema: made at once, migrated from every earlier one, the same either way, and a newer one refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from aion_dagster.errors import StorageError
from aion_dagster.storage import Ledger
from aion_dagster.storage.ledger_tables import HEAD, METADATA, REVISIONS
from aion_dagster.storage.migrations import configuration, upgrade

DATABASES = ("sqlite", "postgres", "postgres, schema of a library")

OPEN_TWICE = """
import sys
import threading
from aion_dagster.storage import Ledger
for _ in range(2):
    Ledger(sys.argv[1]).close()
print("alembic" in sys.modules)
"""

DUMMY = '''"""Files have a colour, and batches are called otherwise."""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "test", "{head}", None, None


def upgrade():
    op.add_column("files", sa.Column("colour", sa.Text))
    with op.batch_alter_table("batches") as batches:
        batches.alter_column("file_count", new_column_name="files")
        batches.alter_column("source", type_=sa.String(300), existing_type=sa.Text)
'''


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str | None]:
    """URL and schema of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite", None
    schema = None if request.param == "postgres" else "aion_Cats-2"
    return request.getfixturevalue("postgres_database"), schema


def connected(place: tuple[str, str | None]) -> sa.Engine:
    """An engine for which unqualified names are those of the ledger."""
    url, schema = place
    path = {} if schema is None else {"options": f'-csearch_path="{schema}"'}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=path)


def opened(place: tuple[str, str | None]) -> Ledger:
    url, schema = place
    return Ledger(url, library=schema.removeprefix("aion_") if schema else "default")


def older(place: tuple[str, str | None], revision: str, *, batches: int = 0) -> None:
    """Make a ledger as it was at a revision."""
    url, schema = place
    if schema is not None:
        with sa.create_engine(url).begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
    engine = connected(place)
    with engine.begin() as connection:
        upgrade(connection, revision)
        for number in range(1, batches + 1):
            row = {"seq": number, "key": f"b-{number}", "created_at": "2026-01-01 00:00:00"}
            connection.execute(
                sa.text(
                    "INSERT INTO batches (seq, key, source, manifest_digest, file_count, size_bytes, created_at)"
                    " VALUES (:seq, :key, 'pics', 'd', 1, 1, :created_at)"
                ),
                row,
            )
            connection.execute(
                sa.text(
                    "INSERT INTO files (file_key, version, source, uri, name, basename, batch_seq, is_current)"
                    " VALUES (:key, '1', 'pics', 'u', 'n', 'n', :seq, :yes)"
                ),
                {"key": bytes([number]) * 16, "seq": number, "yes": True},
            )


def unversioned(place: tuple[str, str | None], *, batches: int = 0) -> None:
    """Make a ledger as it was before there were revisions."""
    older(place, "0001", batches=batches)
    with connected(place).begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
        connection.execute(sa.text("INSERT INTO schema_version VALUES (1)"))
        connection.execute(sa.text("DROP INDEX files_live"))  # of the latest ones only


def shape(place: tuple[str, str | None]) -> Any:
    """Everything that the database says of its tables."""
    with connected(place).connect() as connection:
        found = sa.inspect(connection)
        tables = {
            name: (
                [{**c, "type": str(c["type"])} for c in found.get_columns(name)],
                found.get_pk_constraint(name)["constrained_columns"],
                found.get_foreign_keys(name),
                sorted(found.get_unique_constraints(name), key=str),
                sorted(
                    (
                        i["name"],
                        i["column_names"],
                        {k: str(v) for k, v in i["dialect_options"].items()},
                    )
                    for i in found.get_indexes(name)
                ),
            )
            for name in found.get_table_names()
        }
        if connection.dialect.name == "sqlite":
            query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
            tables["sql"] = {n: " ".join(s.split()) for n, s in connection.execute(sa.text(query))}
    return tables


@pytest.fixture
def made_at_once(place: tuple[str, str | None], tmp_path: Path) -> Iterator[Any]:
    """The shape of a fresh ledger in a database of the same kind."""
    if place[0].startswith("sqlite"):
        other = (f"sqlite:///{tmp_path}/fresh.sqlite", None)
    else:
        other = (place[0], "aion_fresh")
    opened(other).close()
    return shape(other)


def same(one: Any, other: Any, schemas: tuple[str, ...]) -> bool:
    def text(value: Any) -> str:
        found = repr(value)
        for schema in schemas:
            found = found.replace(schema, "")
        return found

    return text(one) == text(other)


@pytest.mark.parametrize("revision", [None, *REVISIONS[:-1]])
def test_what_migrations_make_is_what_a_fresh_ledger_has(
    place: tuple[str, str | None], made_at_once: Any, revision: str | None
) -> None:
    if revision is None:
        unversioned(place)
    else:
        older(place, revision)
    opened(place).close()
    assert shape(place).keys() == made_at_once.keys()
    for table, facts in shape(place).items():
        if table != "sql":
            assert same(facts, made_at_once[table], ("aion_Cats-2", "aion_fresh")), table
    # SQLite keeps the text of a statement, and an added column stands at the end of it.
    assert shape(place).get("sql", {}).keys() == made_at_once.get("sql", {}).keys()
    with connected(place).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_revisions_stand_in_one_line_and_are_all_named() -> None:
    script = ScriptDirectory.from_config(configuration())
    assert script.get_heads() == [HEAD]
    found = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_rows_survive_and_the_ledger_goes_on(place: tuple[str, str | None]) -> None:
    unversioned(place, batches=3)
    with opened(place) as ledger:
        assert [b.key for b in ledger.batches()] == ["b-1", "b-2", "b-3"]
        ledger.mark_finished("b-2")
    with opened(place) as ledger:
        assert [b.key for b in ledger.batches("finished")] == ["b-2"]


def test_a_file_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    place = (f"sqlite:///{tmp_path}/ledger.sqlite", None)
    older(place, "0001", batches=2)
    before = shape(place)
    opened(place).close()
    copy = (f"sqlite:///{tmp_path}/ledger.sqlite.0001.backup", None)
    assert shape(copy) == before
    with connected(copy).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM batches")) == 2
    opened(place).close()
    assert len(list(tmp_path.glob("*.backup"))) == 1


@pytest.mark.parametrize("place", DATABASES[:2], indirect=True)
def test_several_processes_that_start_at_once_migrate_once(place: tuple[str, str | None]) -> None:
    unversioned(place, batches=2)
    context = multiprocessing.get_context("fork")
    gate, found = context.Barrier(3), context.Queue()
    started = [context.Process(target=count, args=(place, gate, found)) for _ in range(3)]
    for process in started:
        process.start()
    assert [found.get(timeout=60) for _ in started] == [2, 2, 2]
    for process in started:
        process.join()


def test_one_that_starts_while_another_is_about_to_write_waits(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE something (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("SELECT * FROM something").fetchall()
        later = threading.Timer(0.3, other.execute, ["COMMIT"])
        later.start()
        with opened((f"sqlite:///{path}", None)) as ledger:
            assert ledger.counts().batches == 0
        later.join()


def count(place: tuple[str, str | None], gate: Any, found: Any) -> None:
    gate.wait()
    with opened(place) as ledger:
        found.put(ledger.counts().batches)


def test_a_ledger_of_today_is_made_and_opened_without_alembic(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_TWICE, f"sqlite:///{tmp_path}/ledger.sqlite"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]


def test_a_newer_ledger_is_refused_and_left_alone(place: tuple[str, str | None]) -> None:
    opened(place).close()
    with connected(place).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = shape(place)
    with pytest.raises(
        StorageError, match=r"has format 9999, this version knows .*install a newer"
    ):
        opened(place)
    assert shape(place) == before


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    place = (f"sqlite:///{tmp_path}/ledger.sqlite", None)
    older(place, "0001", batches=2)
    with connected(place).begin() as connection:
        connection.execute(sa.text("UPDATE files SET batch_seq = 77 WHERE batch_seq = 1"))
    before = shape(place)
    with pytest.raises(StorageError, match=r"'files' refers to a row of 'batches' that is missing"):
        opened(place)
    assert shape(place) == before


def test_a_later_revision_may_make_tables_anew(
    place: tuple[str, str | None], tmp_path: Path
) -> None:
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "later.py").write_text(DUMMY.format(head=HEAD))
    older(place, HEAD, batches=2)
    with closing(connected(place).connect()) as connection, connection.begin():
        upgrade(connection, "test", [folder])
    with connected(place).connect() as connection:
        assert connection.scalars(sa.text("SELECT files FROM batches ORDER BY seq")).all() == [1, 1]
        assert connection.scalar(sa.text("SELECT count(*) FROM files WHERE colour IS NULL")) == 2
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "test"
