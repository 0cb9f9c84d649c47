"""Plans combine only faults that the guarantees cover."""

from __future__ import annotations

from collections import Counter

from tests.nemesis.plan import KILLS, LOSSES, plan, shown

SEEDS = range(300)
BOTH = (1, 3)
"""Shards of Redis."""


def test_same_seed_is_the_same_plan() -> None:
    """A printed seed repeats its faults."""
    for shards in BOTH:
        once, again = ([shown(plan(seed, 30, shards=shards)) for seed in SEEDS] for _ in range(2))
        assert once == again


def test_no_round_injects_a_loss_that_the_guarantees_exclude() -> None:
    """One SIGKILL in a round, and never the data of Redis together with an origin's memory."""
    for one in (one for n in BOTH for seed in SEEDS for one in plan(seed, 60, shards=n)):
        kills = [fault for fault in one.faults if fault.kind in KILLS]
        assert len(kills) <= 1
        losses = [fault for fault in one.faults if fault.kind in LOSSES]
        assert not (losses and any(kill.target.startswith("web") for kill in kills))
        assert len(losses) <= 1


def test_every_fault_lies_within_its_round() -> None:
    """When a round ends, everything works."""
    for one in (one for seed in SEEDS for one in plan(seed, 60)):
        assert all(0 < fault.at + fault.lasts <= one.lasts for fault in one.faults)


def test_plans_have_every_kind_of_fault_and_several_at_once() -> None:
    """Each kind of fault is drawn by some seed."""
    rounds = [one for seed in SEEDS for one in plan(seed, 60)]
    drawn = Counter((fault.kind, fault.target.split("-")[-1]) for r in rounds for fault in r.faults)
    assert len(drawn) == 32, sorted(drawn)
    assert any(len(one.faults) == 3 for one in rounds)


def test_on_a_cluster_each_shard_suffers_by_itself() -> None:
    """A fault of Redis is that of one shard; a link is broken to one or to all."""
    rounds = [one for seed in SEEDS for one in plan(seed, 60, shards=3)]
    drawn = {(fault.kind, fault.target) for one in rounds for fault in one.faults}
    kinds = ("stop", "restart", "takeover", "failover", "lose-all", "lose-tail", "migrate")
    wanted = {(kind, f"redis{shard}") for kind in kinds for shard in range(3)}
    assert {one for one in drawn if one[1].startswith("redis")} == wanted
    links = {target for _, target in drawn if target.startswith("relay-redis")}
    assert links == {"relay-redis", "relay-redis0", "relay-redis1", "relay-redis2"}
