"""Where files come from: scan and read."""
