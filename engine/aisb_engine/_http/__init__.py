"""Bytes: sockets, stamps, server-sent events, and what a reply means."""
