"""Epochs after a restore of the tables: `rts-server raise-epochs` of this checkout."""

from checkout import run_command

run_command("raise-epochs")
