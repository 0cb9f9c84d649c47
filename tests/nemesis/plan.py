"""The faults and their times: drawn from the seed and printed before the run.

A plan combines only what the guarantees cover:

* `queued` and `stored` hold over every plan here: one SIGKILL in a round, and never of SQS or
  DynamoDB.
* `accepted`, and live events, are as safe as Redis or their origin (D2): a round loses the data of
  Redis or the memory of a web process, never both, and after each loss of data everything must
  have reached the queue before the next round.
* Links, stops, the relay, the Lambdas and SQS lose nothing and go with everything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

LINKS = ("door", "redis", "aws")
"""Links of a web instance: from clients, to Redis, to AWS. The relay has no `door`."""
LOSSES = frozenset({"lose-all", "lose-tail", "failover", "takeover"})
"""A failover may lose the newest writes: replication is asynchronous. So may a replica of a cluster
that takes over from a primary that lives."""
KILLS = frozenset({"kill"})
MIGRATIONS = 0.2
"""Share of the faults of a shard in which it gives half of its slots to another one for a while."""
LINKS_TO_ONE = 0.75
"""Share of the faults of links to Redis that break those to one shard alone."""
ROUND = (3.0, 5.5)
"""Least and greatest length of a round in seconds; its faults lie within."""
CALM = (0.4, 1.2)
"""Least and greatest pause after a round in seconds."""


@dataclass(frozen=True)
class Fault:
    """A fault of `target` that begins `at` seconds into the round and `lasts` some seconds."""

    at: float
    lasts: float
    kind: str
    target: str

    def __str__(self) -> str:
        return f"{self.at:5.2f} s for {self.lasts:4.2f} s  {self.kind} {self.target}"


@dataclass(frozen=True)
class Round:
    """Faults that overlap, and the pause after them."""

    faults: tuple[Fault, ...]
    lasts: float
    calm: float

    @property
    def loses(self) -> bool:
        """Return whether Redis loses data."""
        return any(fault.kind in LOSSES for fault in self.faults)


def plan(seed: int, seconds: float, instances: int = 2, shards: int = 1) -> list[Round]:
    """Return rounds that take at least so many seconds; a seed always gives the same ones.

    Of several shards, a fault of Redis is that of one, and that of a link to Redis often.
    """
    chance = random.Random(f"plan {seed}")
    rounds: list[Round] = []
    while sum(one.lasts + one.calm for one in rounds) < seconds:
        lasts = chance.uniform(*ROUND)
        faults = tuple(_faults(chance, lasts, instances, shards))
        rounds.append(Round(faults, lasts, chance.uniform(*CALM)))
    return rounds


def shown(rounds: list[Round]) -> str:
    """Return the plan as text."""
    lines = []
    for number, one in enumerate(rounds, 1):
        lines.append(f"round {number}, {one.lasts:.1f} s, then {one.calm:.1f} s of calm")
        lines += [f"    {fault}" for fault in one.faults]
    return "\n".join(lines)


def _faults(chance: random.Random, lasts: float, instances: int, shards: int) -> Iterator[Fault]:
    taken: list[tuple[str, str]] = []
    for _ in range(chance.choices((1, 2, 3), (3, 4, 2))[0]):
        drawn = _draw(chance, instances)
        if shards > 1:
            drawn = _on_a_shard(chance, drawn, shards)
        if not all(_together(drawn, other) for other in taken):
            continue
        taken.append(drawn)
        at = chance.uniform(0, lasts * 0.5)
        yield Fault(at, chance.uniform(0.3, lasts - at), *drawn)


def _draw(chance: random.Random, instances: int) -> tuple[str, str]:
    webs = [f"web{number}" for number in range(instances)]
    process = chance.choice([*webs, "relay"])
    link = chance.choice([f"{web}-{link}" for web in webs for link in LINKS])
    link = chance.choice((link, link, "relay-redis", "relay-aws"))
    function = chance.choice(("chat-message-to-db", "chat-room-to-db"))
    kinds = {
        ("kill", process): 3,
        ("stop", process): 2,
        ("drop", link): 2,
        ("refuse", link): 2,
        ("stall", link): 2,
        ("stall-up", link): 1,
        ("stall-down", link): 1,
        ("slow", link): 1,
        ("stop", "redis"): 1,
        ("restart", "redis"): 2,
        ("demote", "redis"): 1,
        ("failover", "redis"): 2,
        ("lose-all", "redis"): 3,
        ("lose-tail", "redis"): 2,
        ("off", function): 2,
        ("stop", "aws"): 1,
    }
    return chance.choices(list(kinds), list(kinds.values()))[0]


def _on_a_shard(chance: random.Random, drawn: tuple[str, str], shards: int) -> tuple[str, str]:
    kind, target = drawn
    shard = chance.randrange(shards)
    if target == "redis":
        kind = "takeover" if kind == "demote" else kind
        return ("migrate" if chance.random() < MIGRATIONS else kind, f"redis{shard}")
    if target.endswith("-redis") and chance.random() < LINKS_TO_ONE:
        return kind, f"{target}{shard}"
    return drawn


def _together(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether two faults of a round are covered by the guarantees and can be combined."""
    kinds, targets = {one[0], other[0]}, {one[1], other[1]}
    if len(targets) == 1 or kinds == {"kill"}:
        return False
    if all(target.startswith("redis") for target in targets):
        return False
    if kinds & LOSSES and _web_dies(one, other):
        return False
    return not ("off" in kinds and "aws" in targets)


def _web_dies(*faults: tuple[str, str]) -> bool:
    return any(kind == "kill" and target.startswith("web") for kind, target in faults)
