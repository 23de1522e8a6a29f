"""Near-duplicates, groups, splits, selection, fingerprints."""
