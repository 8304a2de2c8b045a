"""A plugin that was written for a later core than any that is there."""

raise RuntimeError("it is not imported")
