"""How long a container takes to start."""
