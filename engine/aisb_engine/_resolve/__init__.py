"""Names, files and flags made into a run that has nothing left to look up."""
