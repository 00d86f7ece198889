"""The node: its file, its files, its decisions."""
