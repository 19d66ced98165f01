"""Experiments: one file each with a module-level EXPERIMENT."""
