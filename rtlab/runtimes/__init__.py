"""Container runtimes: one short data file each."""
