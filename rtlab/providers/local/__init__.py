"""This very machine."""
