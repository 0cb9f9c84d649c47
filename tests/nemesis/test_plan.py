"""Plans combine only faults that the guarantees cover."""

from __future__ import annotations

from collections import Counter

from tests.nemesis.plan import KILLS, LOSSES, plan, shown

SEEDS = range(300)


def test_same_seed_is_the_same_plan() -> None:
    """A printed seed repeats its faults."""
    assert [shown(plan(seed, 30)) for seed in SEEDS] == [shown(plan(seed, 30)) for seed in SEEDS]


def test_no_round_injects_a_loss_that_the_guarantees_exclude() -> None:
    """One SIGKILL in a round, and never the data of Redis together with an origin's memory."""
    for one in (one for seed in SEEDS for one in plan(seed, 60)):
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
