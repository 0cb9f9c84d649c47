"""One deployment for all tests that break nothing; tests that kill parts start their own."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import uvloop
from redis.asyncio import Redis

from rts_server.persistence.scripts import LuaFunction, Script
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.one_slot import check_slots
from tests.helpers.operator import Operator
from tests.helpers.world import World

HERE = Path(__file__).parent
UNCLOSED: list[str] = []
"""Tests that left a transport open."""

pytest_plugins = ["tests.helpers.room_fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of tests of several instances."""
    parser.addoption(
        "--without", default="", help="protections to take away, see tests/faulty.py: must be red"
    )
    parser.addoption(
        "--shards",
        type=int,
        default=0,
        help="primaries of the Redis of deployments; 1: no cluster; default: 1, or what is marked",
    )
    parser.addoption("--soak", type=int, default=12, help="examples of the model-based test")
    parser.addoption("--seed", type=int, default=1, help="seed of the first of them")
    parser.addoption(
        "--full", action="store_true", help="the protocol's own times and the promises' full sizes"
    )


LONGEST = (
    "rest/test_openapi.py",
    "model/test_model.py",
    "instances/test_traps.py",
    "instances/test_order.py",
    "nemesis/test_nemesis.py",
    "faults/test_lost_processes.py",
    "faults/test_cold_rooms.py",
    "instances/test_a_shard_alone.py",
    "flows/test_two_thousand.py",
    "deployment/test_nginx.py",
    "instances/test_presence.py",
    "test_drain.py",
    "tools/dev/test_session.py",
    "tools/dev/test_valkey_cluster.py",
    "tools/dev/test_stack.py",
    "instances/test_instance_dies.py",
    "deployment/test_rolling.py",
    "browser/test_page.py",
    "browser/test_starters.py",
    "browser/test_client.py",
    "engine/test_polling.py",
    "tools/cli/test_rooms.py",
    "test_documents.py",
    "test_package.py",
    "flows/test_files.py",
    "faults/test_acks_after_losses.py",
    "flows/test_operators_day.py",
    "client/test_faults.py",
    "client/test_chat.py",
    "client/test_package.py",
    "instances/test_removal.py",
)
"""Test files that take over 10 s. They begin first, so that all workers end together."""


def pytest_asyncio_loop_factories() -> dict[str, type[uvloop.Loop]]:
    """Run tests on the product's event loop, whose timers and transports differ from asyncio's."""
    return {"uvloop": uvloop.Loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with the marker `on_both` on one Redis and on three primaries.

    Their deployment has to be one of their module, or workers would start the shared ones again.
    None is what tests without the marker have: they share the deployment on one Redis.
    """
    is_marked = metafunc.definition.get_closest_marker("on_both") is not None
    if is_marked and not metafunc.config.getoption("--shards"):
        each = {"one": None, "three": 3}
        metafunc.parametrize(
            "primaries", each.values(), ids=each.keys(), indirect=True, scope="session"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the longest files first, and within a file what runs on one Redis."""
    order = {str(HERE / file): rank for rank, file in enumerate(LONGEST)}
    if gone := [file for file in order if not Path(file).exists()]:
        raise pytest.UsageError(f"LONGEST names files that are not there: {gone}")
    seen = {path: number for number, path in enumerate(dict.fromkeys(one.path for one in items))}
    items.sort(
        key=lambda item: (
            order.get(str(item.path), len(LONGEST)),
            seen[item.path],
            _on_three(item),
        )
    )


def _on_three(item: pytest.Item) -> bool:
    asked = getattr(item, "callspec", None)
    return asked is not None and asked.params.get("primaries") == 3


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    """Note the tests whose loop closed with an open transport."""
    if "unclosed resource" in str(warning_message.message):
        UNCLOSED.append(nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for them; the warnings are in its summary."""
    if UNCLOSED and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers logged as an error to the report of a failed test."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if report.failed and isinstance(world, World):
        report.sections.append(("Errors in the logs of the servers", world.logged_errors()))
    return report


hypothesis.settings.register_profile("shared-cores", deadline=None)
hypothesis.settings.load_profile("shared-cores")


@pytest.fixture(autouse=True)
def scripts_of_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the keys of each script that the test calls."""
    for kind in (Script, LuaFunction):
        monkeypatch.setattr(kind, "command", _checked(kind.command))


Command = Callable[[Any, Sequence[str], Sequence[str | int]], Any]


def _checked(command: Command) -> Command:
    def checked(script: Any, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        check_slots(script, keys)
        return command(script, keys, args)

    return checked


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Return whether times and sizes are not scaled down."""
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture(scope="session")
def primaries(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> int:
    """Return of how many primaries the Redis of a deployment is; see the marker `on_both`."""
    return int(getattr(request, "param", None) or pytestconfig.getoption("--shards") or 1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, primaries: int) -> Iterator[World]:
    """Run a stack, a relay and one web instance. Tests use different users."""
    folder = tmp_path_factory.mktemp("world")
    # A Redis that is new keeps everybody for the length of a lease.
    running = World(
        folder,
        primaries,
        RTS_PRESENCE_LEASE="10",
        RTS_PRESENCE_GRACE="1",
        RTS_PRESENCE_SWEEP="0.5",
        RTS_REPORT_INTERVAL="1",
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def dev_url(world: World) -> str:
    """Return the URL of an instance with the demo page."""
    return world.urls[0]


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Valkey for tests that need only Redis."""
    with valkey.running(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """Run three primaries. Who moves a slot moves it back."""
    with valkey.running_cluster(tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[ShardedPipeline]:
    """Return a pipe to three empty primaries."""
    for node in cluster.primaries:
        valkey.ask(node, "FLUSHALL")
    async with valkey.pipe_by(cluster.url) as pipe:
        yield pipe


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """Return an empty Redis."""
    client = Redis.from_url(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def ops(world: World) -> Operator:
    """Return an operator, whose commands find server and token in the environment."""
    return Operator(world)
