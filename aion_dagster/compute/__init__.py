"""Local compute: one decode pass, colors, text in pictures, text vectors."""
