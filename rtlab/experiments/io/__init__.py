"""Disk throughput, by Bonnie++."""
