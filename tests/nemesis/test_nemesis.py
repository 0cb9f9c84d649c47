"""Random faults in a short run; `make nemesis` has longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nemesis.plan import plan, shown
from tests.nemesis.report import report
from tests.nemesis.run import once

SECONDS = 6.0


@pytest.mark.parametrize("seed", [17, 56])
async def test_every_guarantee_holds_under_random_faults(
    seed: int, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Faults of web, relay, Redis, links and Lambdas from a seed violate no guarantee."""
    rounds = plan(seed, SECONDS)
    print(shown(rounds))
    without = pytestconfig.getoption("--without")
    outcome = await once(tmp_path, rounds, seed, print, without)
    again = f'again: make nemesis ARGS="--seed {seed} --seconds {SECONDS:g}"'
    assert not outcome.violations, f"{report(outcome.history, outcome.violations)}\n{again}"
    assert len(outcome.history.commands) > 50
