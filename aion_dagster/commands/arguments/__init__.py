"""The arguments of each command; nothing heavy is imported, so that `--help` and usage errors answer at once."""
