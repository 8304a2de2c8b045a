"""Select the part of a reply to read: without reasoning, and up to where another turn begins."""
