"""What of a reply is read: without reasoning, and only up to where another turn begins."""
