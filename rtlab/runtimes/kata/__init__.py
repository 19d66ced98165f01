"""Kata Containers."""
