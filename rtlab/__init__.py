"""rtlab: what a container pays for its runtime, measured so that the result is hard to doubt."""

__version__ = "0.1.0"
