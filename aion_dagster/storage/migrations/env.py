"""What Alembic runs: the revisions, on the connection and in the transaction that it is handed."""

from __future__ import annotations

from alembic import context

from aion_dagster.storage.ledger_tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # SQLite's is, too, in a transaction that was begun as one
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
