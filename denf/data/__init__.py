"""Sources of images → the prepared format, and reading it back."""
