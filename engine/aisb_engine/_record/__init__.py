"""What is kept of a run: the log, the files made from it, the folder and its manifest."""
