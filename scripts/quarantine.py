"""Quarantined records: `rts-server quarantine` of this checkout."""

from checkout import run_command

run_command("quarantine")
