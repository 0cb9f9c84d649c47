"""Queues and their dead-letter queues: `rts-server queues` of this checkout."""

from checkout import run_command

run_command("queues")
