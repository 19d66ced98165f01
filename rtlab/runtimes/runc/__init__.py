"""runC."""
