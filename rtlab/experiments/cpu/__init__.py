"""What CPU a group of idle containers takes."""
