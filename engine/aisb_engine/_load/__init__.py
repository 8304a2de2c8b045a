"""Send the requests of a load: when, how many at a time, and by which processes."""
