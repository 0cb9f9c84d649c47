"""`python -m tests.faulty <fault> serve|relay`: the real process with one function replaced.

Each fault either breaks the world (publishes get lost) or takes one protection away, so that a test
can show it was the protection that held.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from rts_server.__main__ import main
from rts_server.adapter import room, sequence
from rts_server.persistence.scripts import Script
from rts_server.rooms import appender, cold, fates, standing

PUBLISH = "redis.call('PUBLISH', req.channel, head.epoch"
LOSE = (
    "redis.call('PUBLISH', offset % 10 == 7 and req.channel .. ':lost' or req.channel, head.epoch"
)
FENCE = "if head.fence ~= identity() then return 'cold', head end"
SHAPE = "if found == head.shape then return 'warm', head end"


def rewrite(script: Script, old: str, new: str) -> None:
    """Another source for a script that is loaded already."""
    assert old in script.source, old
    script.source = script.source.replace(old, new)
    script.sha = sha1(script.source.encode(), usedforsecurity=False).hexdigest()


def everywhere(old: str, new: str) -> None:
    """Rewrite every script that starts with the fence."""
    for module in (appender, cold, fates, standing):
        for value in vars(module).values():
            if isinstance(value, Script) and old in value.source:
                rewrite(value, old, new)


def lose_publishes() -> None:
    """One durable publish in ten goes to another channel."""
    rewrite(appender.APPEND, PUBLISH, LOSE)


def identity() -> None:
    """Ordering is off: whatever is heard is next."""
    vars(room)["judge"] = lambda stands, heard: sequence.Verdict.NEXT


def no_fence() -> None:
    """Any Redis is the one that served the room."""
    everywhere(FENCE, "")


def no_shape() -> None:
    """A lost key of a room is not noticed."""
    everywhere(SHAPE, "if true then return 'warm', head end")


FAULTS: dict[str, Callable[[], Any]] = {
    "lose_publishes": lose_publishes,
    "identity": identity,
    "no_fence": no_fence,
    "no_shape": no_shape,
}

if __name__ == "__main__":
    for fault in filter(None, sys.argv[1].split(",")):
        FAULTS[fault]()
    sys.argv = ["rts-server", *sys.argv[2:]]
    main()
