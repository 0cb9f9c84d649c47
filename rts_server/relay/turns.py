"""Partitions in turn, a few at a time: no loop of the relay goes over all that it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection

PARTITIONS_PER_TURN = 16


class Turns:
    """Gives the partitions that `held` returns, each once in a round."""

    def __init__(self, held: Callable[[], Collection[int]]) -> None:
        self._held = held
        self._left: list[int] = []

    def next(self) -> list[int]:
        """Return those whose turn it is, PARTITIONS_PER_TURN at most."""
        held = self._held()
        self._left = self._left or list(held)
        some, self._left = self._left[:PARTITIONS_PER_TURN], self._left[PARTITIONS_PER_TURN:]
        return [one for one in some if one in held]
