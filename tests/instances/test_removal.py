"""The removal fence: nothing positioned after a removal reaches the removed member (A2)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.pair import deployed
from tests.helpers.world import World
from tests.instances.removal import bounds, nothing_behind_a_removal, removal_loop

ROUNDS = 8


@pytest.fixture(scope="module")
def losing(
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    full: bool,
    primaries: int,
) -> Iterator[World]:
    """One publish in ten goes to another channel."""
    off = pytestconfig.getoption("--without")
    yield from deployed(tmp_path_factory, "lose_publishes", off, full=full, shards=primaries)


async def test_removal_fence_holds_while_publishes_are_lost(losing: World) -> None:
    """Four writers on two instances, removals and reconnects in a loop, one publish in ten lost."""
    owner, room_id, devices = await removal_loop(losing, ROUNDS)
    assert len(bounds(owner, room_id)) == ROUNDS
    nothing_behind_a_removal(owner, room_id, devices)
