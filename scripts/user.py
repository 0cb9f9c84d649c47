"""A user's data and connections: `rts-server user` of this checkout."""

from checkout import run_command

run_command("user")
