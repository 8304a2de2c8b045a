"""Read the files of a run as a `FinishedRun`, and call reporters."""
