"""Many small ways to be broken, a module each."""
