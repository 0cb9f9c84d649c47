"""Rate limits as token buckets. RTS_LIMITS switches rates off, but not size limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

ROUNDING_SECONDS = 1e-6
"""Shorter waits count as none: sums of a clock that ran for months are not more exact."""
MAX_IDLE_KEYS = 10_000
"""Number of keys at which full buckets are forgotten."""


class RateLimit(NamedTuple):
    """`per_second`: allowed in the long run. `burst`: allowed at once."""

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
"""`commands` and `errors` of a connection; `messages`, `changes`, `rooms` (created), `members`
(users named, each of them), `history`,
`presence`, `presence_ids` and `uploads` of a user; durable events of a `room`; `typing` of a user
in a room; requests of an `operator`; `handshakes` of an address. Each instance counts for
itself."""

_ONE = re.compile(r"(?P<name>[a-z_]+)=(?P<rate>[0-9.]+)/(?P<burst>[0-9.]+)")


def parse(text: str) -> dict[str, RateLimit]:
    """Return the rates with the changes of `name=per_second/burst,…`. Raises ValueError."""
    changed = {}
    for one in filter(None, text.split(",")):
        match = _ONE.fullmatch(one.strip())
        if match is None or match["name"] not in RATES:
            raise ValueError(f"{one}: not name=per_second/burst of {', '.join(RATES)}.")
        changed[match["name"]] = RateLimit(float(match["rate"]), float(match["burst"]))
        if min(changed[match["name"]]) <= 0:
            raise ValueError(f"{one}: above 0.")
    return RATES | changed


class Buckets:
    """Leaky buckets as one number for each key: when what it has taken is paid back (GCRA, ITU-T
    I.371). Times are seconds of any monotonic clock.
    """

    def __init__(self, rates: Mapping[str, RateLimit]) -> None:
        self._rates = rates
        self._paid: dict[tuple[str, str], float] = {}
        self._most = MAX_IDLE_KEYS

    def take(
        self, name: str, key: str, now: float, cost: float = 1.0, patience: float = 0.0
    ) -> float:
        """Take, and answer 0; or the seconds after which it may be. Up to `patience` of them it is
        taken all the same: the caller waits.
        """
        rate = self._rates[name]
        paid = max(now, self._paid.get((name, key), 0.0)) + cost / rate.per_second
        wait = paid - now - rate.burst / rate.per_second
        if wait < ROUNDING_SECONDS:
            wait = 0.0
        if wait <= patience:
            self._paid[name, key] = paid
            if len(self._paid) > self._most:
                self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        self._paid = {key: paid for key, paid in self._paid.items() if paid > now}
        self._most = max(MAX_IDLE_KEYS, 2 * len(self._paid))
