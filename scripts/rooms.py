"""Rooms as code: `rts-server rooms` of this checkout. docs/rooms.md is the tutorial."""

from checkout import run_command

run_command("rooms")
