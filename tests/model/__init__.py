"""A chat in memory beside the real one: the same steps, the same views."""
