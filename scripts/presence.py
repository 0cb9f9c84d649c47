"""A user's presence, explained: `rts-server presence` of this checkout."""

from checkout import run_command

run_command("presence")
