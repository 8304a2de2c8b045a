"""The loops that every streamed chunk passes, and the choice between their plain and their compiled form."""
