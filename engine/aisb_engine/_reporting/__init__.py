"""From the files of a run to a `FinishedRun`, and from there to reporters."""
