"""Rooms as code: `python scripts/rooms.py plan|apply|diff|export rooms.yaml`.

The same command as `rts-server rooms`. docs/rooms.md is the tutorial, docs/rooms.yaml an example
with comments.
"""

from rts_server.tools.cli.rooms import rooms

if __name__ == "__main__":
    rooms()
