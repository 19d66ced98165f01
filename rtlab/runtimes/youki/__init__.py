"""youki as one of the runtimes."""
