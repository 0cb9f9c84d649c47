"""Deployments of two instances, times of the promises 10 times faster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world import World

FAST = {
    "RTS_HEAD_CHECK": "1.5",
    "RTS_CANARY_INTERVAL": "0.3",
    "RTS_DEAF_AFTER": "1.0",
    "RTS_LINGER": "1.0",
    "RTS_PING_INTERVAL": "2",
    "RTS_PING_TIMEOUT": "1",
    "RTS_EXPIRY_GRACE": "1",
    "RTS_CONNECT_DEADLINE": "1",
    "RTS_CURSOR_FLUSH": "1",
    "RTS_RECEIPT_INTERVAL": "0.2",
    "RTS_PRESENCE_LEASE": "4",
    "RTS_PRESENCE_SWEEP": "1",
    "RTS_PRESENCE_GRACE": "2",
    "RTS_PRESENCE_CHECK": "6",
    "RTS_TYPING_TTL": "1.6",
    "RTS_TYPING_INTERVAL": "0.2",
}


def deployed(
    folder: pytest.TempPathFactory, *faults: str, full: bool = False, **more: str
) -> Iterator[World]:
    """A running world of two instances; `full`: with the protocol's own times."""
    times = {} if full else FAST
    running = World(folder.mktemp("pair"), instances=2, faults=",".join(faults), **times | more)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, full: bool
) -> Iterator[World]:
    """Two instances for all tests that do not take a part away for good."""
    yield from deployed(tmp_path_factory, pytestconfig.getoption("--without"), full=full)


@pytest.fixture
def pair(shared: World) -> Iterator[World]:
    """Two instances, whole again for the next test whatever becomes of this one."""
    yield shared
    shared.mend()
