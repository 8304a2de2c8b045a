"""The `aisb` command: what it takes, and what it shows."""
