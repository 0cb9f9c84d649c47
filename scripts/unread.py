"""Unread counts, explained: `rts-server unread` of this checkout."""

from checkout import run_command

run_command("unread")
