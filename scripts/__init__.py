"""Scripts of operators and developers."""
