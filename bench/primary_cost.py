"""What a primary of Redis has done: its CPU and its commands, those inside scripts included."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from redis import Redis

from bench.machine import cpu_seconds
from rts_server.tools.dev.valkey import Valkey

SCRIPT_COMMANDS = ("evalsha", "fcall", "eval")
LEAST_LISTED = 0.01


@dataclass(frozen=True)
class PrimaryCost:
    """Calls of each command, CPU seconds, and the seconds in which they were."""

    commands: Counter[str]
    cpu: float
    seconds: float

    @classmethod
    def so_far(cls, valkey: Valkey) -> Self:
        """Return what a primary has done since its start; `seconds` are on the monotonic clock."""
        with Redis.from_url(valkey.url) as redis:
            calls = calls_of(redis)
        return cls(calls, cpu_seconds(valkey.pid or 0), time.monotonic())

    def since(self, before: Self) -> Self:
        """Return what was done between two moments."""
        calls = self.commands - before.commands
        return type(self)(calls, self.cpu - before.cpu, self.seconds - before.seconds)

    def without(self, idle: Self) -> Self:
        """Return this without what is done in the same time while nothing happens."""
        share = self.seconds / idle.seconds
        calls = self.commands.copy()
        calls.subtract({name: round(n * share) for name, n in idle.commands.items()})
        return type(self)(calls, self.cpu - idle.cpu * share, self.seconds)

    @property
    def scripts(self) -> int:
        """Scripts and functions that were run."""
        return sum(self.commands[name] for name in SCRIPT_COMMANDS)


def calls_of(redis: Any) -> Counter[str]:
    """Return the calls of each command so far."""
    stats = redis.info("commandstats").items()
    return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats})


def listed(calls: Counter[str], each: float) -> str:
    """Return the calls of each command divided by a number, the most frequent first."""
    per = ((name, count / each) for name, count in calls.most_common())
    return ", ".join(f"{name} {calls:.2f}" for name, calls in per if calls >= LEAST_LISTED)
