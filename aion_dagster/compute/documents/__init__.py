"""Documents: their text with pages and headings, read apart from this process, and its pieces of a token budget."""
