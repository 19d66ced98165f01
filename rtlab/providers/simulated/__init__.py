"""Machines that are only simulated."""
