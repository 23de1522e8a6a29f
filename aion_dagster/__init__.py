"""Vision data as Dagster assets: files in, searchable library and versioned datasets out."""
