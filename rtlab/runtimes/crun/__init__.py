"""crun."""
