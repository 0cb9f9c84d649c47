"""Members from a CSV file: `rts-server members` of this checkout."""

from checkout import run_command

run_command("members")
