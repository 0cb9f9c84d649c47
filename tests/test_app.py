"""Processes end with one sentence if their environment is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rts_server import config_loading
from rts_server.services import start_tracing
from rts_server.tools.dev import ports
from tests.helpers import valkey
from tests.helpers.processes import clean_environment
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import free_port

SENTENCE = "Redis has maxmemory-policy allkeys-lru; it must be noeviction."


@pytest.fixture
def evicting(tmp_path: Path) -> Iterator[str]:
    """A Redis whose eviction policy removes keys."""
    with valkey.running(tmp_path, policy="allkeys-lru") as url:
        yield url


def environment(redis_url: str, port: int) -> dict[str, str]:
    """A minimal environment of a process."""
    given = {"RTS_REDIS_URL": redis_url, "RTS_PORT": str(port), "RTS_JWT_SECRET": "s" * 32}
    given |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return clean_environment() | given | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


@pytest.mark.parametrize("what", ["serve", "relay"])
def test_a_redis_that_evicts_is_refused(evicting: str, what: str) -> None:
    """Neither process runs on a Redis that may evict keys."""
    command = [sys.executable, "-m", "rts_server", what]
    given = environment(evicting, free_port())
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1] == SENTENCE


def test_a_redis_that_starts_later_is_checked_then(tmp_path: Path, unused_tcp_port: int) -> None:
    """A process waits for Redis, and ends if that one evicts keys."""
    port = free_port()
    given = environment(f"redis://127.0.0.1:{unused_tcp_port}/0", port)
    command = [sys.executable, "-m", "rts_server", "serve"]
    with subprocess.Popen(command, env=given, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: ports.answers_ok(f"http://127.0.0.1:{port}/health/live"))
            with valkey.running(tmp_path, unused_tcp_port, "allkeys-lru"):
                assert process.wait(PATIENCE) != 0
            assert process.stderr is not None
            assert process.stderr.read().splitlines()[-1] == SENTENCE
        finally:
            process.kill()


def test_opentelemetry_is_needed_only_with_an_endpoint() -> None:
    """Web, relay and functions start without the extra."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import rts_server.app, rts_server.__main__, lambdas.spans\n"
        "print('rts_server.tracing' in sys.modules)"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert asked.stdout.strip() == "False", asked.stderr


def test_an_endpoint_without_the_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends instead of dropping spans silently."""
    monkeypatch.setitem(sys.modules, "rts_server.tracing", None)
    settings = config_loading.load({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    with pytest.raises(SystemExit, match=r"rts-server\[otel\]"):
        start_tracing(settings, "rts-web")
