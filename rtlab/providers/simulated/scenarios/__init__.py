"""Scenarios of the simulated provider: one TOML file each, as data."""
