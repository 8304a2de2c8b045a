"""Two modules, each declared in the group of the other."""
