"""How older ledgers become today's: revisions of Alembic, run in the caller's transaction.

Whoever changes a table of the ledger after a release adds a module `versions/rNNNN_what_changed.py`, and its number to
`REVISIONS` in `ledger_tables`. A fresh ledger is made from the tables themselves; tests compare both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent


def configuration(versions: Sequence[Path] = ()) -> Config:
    """Alembic's configuration of these revisions; of those in other folders, too, where some are given."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", _escaped(FOLDER))
    made.set_main_option("path_separator", "newline")
    folders = [FOLDER / "versions", *versions]
    made.set_main_option("version_locations", "\n".join(map(_escaped, folders)))
    return made


def upgrade(connection: sa.Connection, to: str, versions: Sequence[Path] = ()) -> None:
    """Bring the ledger of a connection to a revision."""
    from alembic import command

    made = configuration(versions)
    made.attributes["connection"] = connection
    command.upgrade(made, to)


def _escaped(folder: Path) -> str:
    return str(folder).replace("%", "%%")
