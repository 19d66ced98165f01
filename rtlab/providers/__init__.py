"""Providers supply machines, a module or a folder each; ``contract`` says what one must do."""
