"""Fixtures: two web processes with short times, to run behind nginx."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment.instances import SHORT, Instances, two
from tests.helpers.world import World


@pytest.fixture(scope="module")
def instances(
    world: World, tmp_path_factory: pytest.TempPathFactory, full: bool
) -> Iterator[Instances]:
    """Instances that accept WebSocket only, as by default."""
    own = {"RTS_DRAIN_SPREAD": "20"} if full else SHORT
    with two(world, tmp_path_factory.mktemp("instances"), **own) as both:
        yield both


@pytest.fixture(scope="module")
def polled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    """Instances that also accept polling."""
    folder = tmp_path_factory.mktemp("polled")
    with two(world, folder, RTS_TRANSPORTS="polling,websocket", **SHORT) as both:
        yield both
