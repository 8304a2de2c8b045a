"""The compiled form of the engine's reader of replies. The engine uses it where it is installed."""
