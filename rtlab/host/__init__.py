"""This machine: what it is, what it can do, what is chosen for it, and how it is mended."""
