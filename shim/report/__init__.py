"""Printing what a comparison found: for a terminal, for programs, for a browser."""
