"""A model of the chat in memory, compared with the real one after random steps."""
