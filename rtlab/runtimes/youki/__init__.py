"""youki."""
