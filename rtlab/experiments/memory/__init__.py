"""What memory a group of containers takes."""
