"""Store a run: its log, the files made from it, its folder and its manifest."""
