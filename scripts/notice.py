"""One message to many rooms: `rts-server notice` of this checkout."""

from checkout import run_command

run_command("notice")
