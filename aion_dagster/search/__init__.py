"""Words, looks and colors over the library."""
