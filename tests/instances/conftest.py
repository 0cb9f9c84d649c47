"""Deployments of two instances; the times of the guarantees are divided by ten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.pair import deployed
from tests.helpers.world import World


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    full: bool,
    primaries: int,
) -> Iterator[World]:
    """Run two instances for all tests that end no part for good."""
    without = pytestconfig.getoption("--without")
    yield from deployed(tmp_path_factory, without, full=full, shards=primaries)


@pytest.fixture
def pair(shared: World) -> Iterator[World]:
    """Return two instances; what a test ended is started again after it."""
    yield shared
    shared.restart_ended()
