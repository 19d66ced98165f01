"""Commands in a running container."""
