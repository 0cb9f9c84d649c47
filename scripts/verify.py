"""Redis compared with the archive: `rts-server verify` of this checkout."""

from checkout import run_command

run_command("verify")
