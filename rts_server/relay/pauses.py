"""Waits for a pause of each of many keys, without a timer for each."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Pauses(Generic[K, V]):
    """The latest value of each key; its pause is over `seconds` after it was noted last."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._noted: dict[K, tuple[float, V]] = {}
        """In order of time: what is noted again goes back to the end."""

    def get(self, key: K) -> V | None:
        """Return the value of a key that waits."""
        found = self._noted.get(key)
        return found[1] if found else None

    def note(self, key: K, value: V, now: float) -> None:
        """Note a key: its pause begins anew."""
        self._noted.pop(key, None)
        self._noted[key] = now + self._seconds, value

    def over(self, now: float, most: int) -> dict[K, V]:
        """Return at most so many keys whose pause is over, oldest first; they stay."""
        found: dict[K, V] = {}
        for key, (due, value) in self._noted.items():
            if due > now or len(found) == most:
                break
            found[key] = value
        return found

    def done(self, keys: dict[K, V], now: float) -> None:
        """Forget keys that `over` returned, but for those that were noted again meanwhile."""
        for key in keys:
            if key in self._noted and self._noted[key][0] <= now:
                del self._noted[key]
