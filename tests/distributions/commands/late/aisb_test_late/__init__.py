"""What it holds is never imported."""

raise RuntimeError
