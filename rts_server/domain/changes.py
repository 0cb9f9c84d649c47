"""What changed in a short time before now: what a listener may have missed in a break."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple


class Changes(NamedTuple):
    """What was published within some time.

    Attributes:
        seconds: How far back it reaches.
        rooms: Rooms whose head or a read cursor in them moved.
        members: Users who came into a room or left one, and these rooms.
    """

    seconds: float
    rooms: Set[str]
    members: Mapping[str, Set[str]]
