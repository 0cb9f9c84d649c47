"""After random commands and faults, every view equals that of the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.pair import deployed
from tests.helpers.world import World
from tests.model.steps import Play

STEPS = 60


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create one test per seed: `--soak 1000 --seed 20000` are a thousand others."""
    if "seed" in metafunc.fixturenames:
        config = metafunc.config
        first, count = config.getoption("--seed"), config.getoption("--soak")
        metafunc.parametrize("seed", range(first, first + count))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """Run two instances for this module only."""
    yield from deployed(
        tmp_path_factory, shards=primaries, RTS_DURABLE_WAIT="0.3", RTS_CLIENT_EXTERNAL_IDS="on"
    )


async def test_every_view_is_that_of_the_model(shared: World, seed: int) -> None:
    """History, room list, unread and sync of every user equal the model's after 60 steps."""
    await Play(shared, seed).play(STEPS)
