"""Random faults in a short run; `make nemesis` has longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nemesis.cluster import Cluster
from tests.nemesis.plan import plan, shown
from tests.nemesis.report import report
from tests.nemesis.run import once

SECONDS = 6.0


@pytest.mark.parametrize("seed", [17, 56])
async def test_every_guarantee_holds_under_random_faults(
    seed: int, tmp_path: Path, pytestconfig: pytest.Config, primaries: int
) -> None:
    """Faults of web, relay, Redis, links and Lambdas from a seed violate no guarantee."""
    await no_violation(seed, tmp_path, pytestconfig.getoption("--without"), primaries)


async def test_every_guarantee_holds_while_shards_fail_and_move(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Slots move, a replica takes over, and links to Redis are cut, on three primaries."""
    await no_violation(118, tmp_path, pytestconfig.getoption("--without"), 3)


async def no_violation(seed: int, folder: Path, without: str, shards: int) -> None:
    """Run the plan of a seed; assert that no guarantee was violated."""
    rounds = plan(seed, SECONDS, shards=shards)
    print(shown(rounds))
    cluster = Cluster(folder, without=without, shards=shards)
    outcome = await once(cluster, rounds, seed, print)
    args = f"--seed {seed} --seconds {SECONDS:g} --shards {shards}"
    again = f'again: make nemesis ARGS="{args}"'
    assert not outcome.violations, f"{report(outcome.history, outcome.violations)}\n{again}"
    assert len(outcome.history.commands) > 50
