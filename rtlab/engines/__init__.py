"""Container engines, a folder each."""
