"""A local cluster of Valkeys, formed without valkey-cli."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot
from redis.exceptions import MovedError

from rts_server.tools.dev import ports
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import PORTS_PER_NODE, ValkeyCluster
from tests.helpers.waiting import until


def cluster_of(folder: Path, primaries: int, replicas: int = 0) -> ValkeyCluster:
    nodes = primaries * (replicas + 1)
    claimed = [ports.claim_ports(PORTS_PER_NODE) for _ in range(nodes)]
    quick = {"cluster-node-timeout": "1000"}
    return ValkeyCluster(folder, claimed, replicas=replicas, logs=folder, options=quick)


def client(node: Valkey) -> redis.Redis:
    return redis.Redis(port=node.port, protocol=2)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = cluster_of(tmp_path_factory.mktemp("three"), 3)
    cluster.start_and_wait()
    yield cluster
    cluster.stop(0)


def test_primaries_share_all_slots_evenly(three: ValkeyCluster) -> None:
    """Every node says that all 16384 slots are served, a third of them by each primary."""
    for node in three.nodes:
        with client(node) as one:
            info = one.execute_command("CLUSTER INFO")
            assert info["cluster_state"] == "ok"
            assert info["cluster_slots_ok"] == str(SLOTS)
            spans = sorted((low, high) for low, high, *_ in one.execute_command("CLUSTER SLOTS"))
            assert spans == [(0, 5460), (5461, 10921), (10922, 16383)]


def test_a_key_is_served_by_the_primary_of_its_slot(three: ValkeyCluster) -> None:
    """The primary of a key's slot takes it, and another one says which that is."""
    slot = key_slot(b"{p0}:outbox")
    owner = three.primaries[slot * 3 // SLOTS]
    (other, *_) = (node for node in three.primaries if node is not owner)
    with client(owner) as here, client(other) as there:
        here.set("{p0}:outbox", "x")
        with pytest.raises(MovedError) as moved:
            there.get("{p0}:outbox")
    assert (moved.value.slot_id, moved.value.port) == (slot, owner.port)


def test_a_cluster_comes_back_with_its_slots_and_data(tmp_path: Path) -> None:
    """Stopped and started on the same folder, each node has its id, its slots and its keys."""
    cluster = cluster_of(tmp_path, 2)
    try:
        cluster.start_and_wait()
        with client(cluster.primaries[0]) as one:
            key = next(key for key in map(str, range(99)) if key_slot(key.encode()) < SLOTS // 2)
            one.set(key, "kept")
            name = one.execute_command("CLUSTER MYID")
        cluster.stop()
        cluster.start_and_wait()
        with client(cluster.primaries[0]) as one:
            assert one.execute_command("CLUSTER MYID") == name
            assert one.get(key) == b"kept"
    finally:
        cluster.stop(0)


def test_each_primary_has_its_replicas(tmp_path: Path) -> None:
    """Where replicas are asked for, each primary has them, and they have what it has."""
    cluster = cluster_of(tmp_path, 2, replicas=1)
    try:
        cluster.start_and_wait()
        for primary, (replica,) in zip(cluster.primaries, cluster.replicas, strict=True):
            with client(replica) as one:
                told = one.info("replication")
            assert (told["role"], told["master_port"]) == ("slave", primary.port)
    finally:
        cluster.stop(0)


def test_a_cluster_that_does_not_come_together_is_refused(tmp_path: Path) -> None:
    """Where a folder has only a part of a cluster, one sentence says so, and nothing runs on."""
    whole = cluster_of(tmp_path, 2)
    whole.start_and_wait()
    whole.stop()
    (tmp_path / "1" / "nodes.conf").unlink()
    part = cluster_of(tmp_path, 2)
    with pytest.raises(StackError, match="form no whole cluster"):
        part.start_and_wait(within=2.5)
    assert not any(node.alive for node in part.nodes)


def test_a_dead_primary_takes_only_its_own_slots_with_it(three: ValkeyCluster) -> None:
    """When one of three is killed, the others see that it is gone, and serve theirs.

    It comes last, as the others need all three.
    """
    lost, kept = three.primaries[0], three.primaries[1]
    lost.kill()
    with client(kept) as one:
        until(lambda: one.execute_command("CLUSTER INFO")["cluster_slots_fail"] != "0")
        key = next(key for key in map(str, range(99)) if 5461 <= key_slot(key.encode()) <= 10921)
        assert one.set(key, "x")
