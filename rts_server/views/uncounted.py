"""The messages of rooms that never count as unread, kept in memory while a room has no more."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

MAX_KEPT_ROOMS = 4096
MAX_KEPT_SEQS = 100
"""Newest uncounted messages of a room that are kept: under a kilobyte."""


class Version(NamedTuple):
    """What the uncounted messages of a room depend on.

    The set of a room only grows while its head has one fence, one epoch and the same number of
    forgotten ones, so with the same size it is the same set.
    """

    fence: bytes
    epoch: int
    size: int
    forgotten: bytes | None = None


class UncountedMessages:
    """The newest uncounted messages of rooms, by the version at which they were read."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Version, array[int]]] = {}

    def has(self, room_id: str, version: Version) -> bool:
        """Return whether the messages of this version are kept."""
        kept = self._kept.get(room_id)
        return kept is not None and kept[0] == version

    def keep(self, room_id: str, version: Version, newest: list[int]) -> None:
        """Keep the newest messages, ascending; the room that was kept first makes room."""
        self._kept.pop(room_id, None)
        if len(self._kept) >= MAX_KEPT_ROOMS:
            del self._kept[next(iter(self._kept))]
        self._kept[room_id] = version, array("q", newest)

    def above(self, room_id: str, version: Version, read_seq: int) -> int | None:
        """Return how many messages above `read_seq` are uncounted; None if that is not known."""
        kept = self._kept.get(room_id)
        if kept is None or kept[0] != version:
            return None
        seqs = kept[1]
        if len(seqs) < version.size and read_seq < seqs[0]:
            return None
        return len(seqs) - bisect_right(seqs, read_seq)
