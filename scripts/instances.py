"""Web instances: `rts-server instances` of this checkout."""

from checkout import run_command

run_command("instances")
