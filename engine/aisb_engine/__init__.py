"""The engine of aisb: resolve what was asked for, send it, keep the record, score it and measure it."""

__version__ = "0.2.0"
