"""The loops that every streamed chunk passes, compiled. The engine uses them where they are installed."""
