"""Rate limits. RTS_LIMITS switches them off, but not the size limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

ROUNDING_SECONDS = 1e-6
"""Shorter waits count as zero: a monotonic clock that has run for months is no more exact."""
MAX_IDLE_KEYS = 10_000
"""Number of keys at which those that have their full burst again are forgotten."""


class RateLimit(NamedTuple):
    """`per_second`: allowed in the long run. `burst`: allowed at one moment."""

    per_second: float
    burst: float


RATES: dict[str, RateLimit] = {
    "commands": RateLimit(20, 40),
    "errors": RateLimit(10, 100),
    "messages": RateLimit(5, 10),
    "changes": RateLimit(5, 10),
    "room": RateLimit(100, 200),
    "rooms": RateLimit(10 / 60, 10),
    "members": RateLimit(5, 1000),
    "history": RateLimit(5, 10),
    "typing": RateLimit(1 / 3, 1),
    "presence": RateLimit(1 / 5, 1),
    "presence_ids": RateLimit(50, 500),
    "uploads": RateLimit(20 / 60, 20),
    "operator": RateLimit(200, 400),
    "handshakes": RateLimit(20, 200),
}
"""Limits by name; each instance counts for itself, but `room` holds for all instances together.

Per connection: `commands`, `errors`. Per user: `messages`, `changes`, `rooms` (created), `members`
(users named), `history`, `presence`, `presence_ids`, `uploads`. Per room: `room` (durable events).
Per user and room: `typing`. Per operator: `operator` (requests). Per address: `handshakes`.
"""

_RATE = re.compile(r"(?P<name>[a-z_]+)=(?P<rate>[0-9.]+)/(?P<burst>[0-9.]+)")


def parse(text: str) -> dict[str, RateLimit]:
    """Return the rates with the changes of `name=per_second/burst,…`. Raises ValueError."""
    changed = {}
    for one in filter(None, text.split(",")):
        match = _RATE.fullmatch(one.strip())
        if match is None or match["name"] not in RATES:
            raise ValueError(f"{one}: not name=per_second/burst with a name of {', '.join(RATES)}.")
        changed[match["name"]] = RateLimit(float(match["rate"]), float(match["burst"]))
        if min(changed[match["name"]]) <= 0:
            raise ValueError(f"{one}: both numbers must be above 0.")
    return RATES | changed


class Buckets:
    """Token buckets, each stored as one number: the time at which the bucket is full again.

    Source: the generic cell rate algorithm (GCRA), ITU-T I.371. Times are seconds of any monotonic
    clock.
    """

    def __init__(self, rates: Mapping[str, RateLimit]) -> None:
        self._rates = rates
        self._full_at: dict[tuple[str, str], float] = {}
        self._max_keys = MAX_IDLE_KEYS

    def take(
        self, name: str, key: str, now: float, cost: float = 1.0, max_wait: float = 0.0
    ) -> float:
        """Take `cost` tokens from a bucket; return 0, or the seconds until they are available.

        They are taken if the wait is at most `max_wait`: the caller then waits that long. A longer
        wait takes nothing.
        """
        rate = self._rates[name]
        full_at = max(now, self._full_at.get((name, key), 0.0)) + cost / rate.per_second
        wait = full_at - now - rate.burst / rate.per_second
        if wait < ROUNDING_SECONDS:
            wait = 0.0
        if wait <= max_wait:
            self._full_at[name, key] = full_at
            if len(self._full_at) > self._max_keys:
                self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._max_keys = max(MAX_IDLE_KEYS, 2 * len(self._full_at))
