"""What several test modules share: worlds, clients, waits, and steps of a chat."""
