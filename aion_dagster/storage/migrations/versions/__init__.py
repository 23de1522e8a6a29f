"""The revisions, one module each; run by Alembic, imported by nobody."""
