"""What each command of `aion-dagster` does."""
