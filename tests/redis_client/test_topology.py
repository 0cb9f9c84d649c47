"""What is known of a cluster: who serves which slot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rts_server.redis_client.topology import Address, Topology
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.waiting import eventually


async def test_the_owner_of_each_slot_is_read(cluster: ValkeyCluster) -> None:
    """By the URL of any node, all primaries are found, each with its slots."""
    for node in cluster.nodes:
        topology = Topology(node.url)
        assert not topology.is_known
        await topology.refresh_soon()
        found = [topology.owner(slot) for slot in (0, 5460, 5461, 10921, 10922, 16383)]
        ports = [one.port for one in cluster.primaries for _ in ("first", "last")]
        assert found == [Address("127.0.0.1", port) for port in ports]
        assert len(topology.primaries) == 3


async def test_a_redirect_counts_at_once_and_asks_again(cluster: ValkeyCluster) -> None:
    """A slot belongs to whom MOVED names, until the cluster was asked what else moved."""
    topology = Topology(cluster.url)
    await topology.refresh_soon()
    elsewhere = Address("127.0.0.1", 1)
    topology.moved(0, elsewhere)
    assert topology.owner(0) == elsewhere
    await eventually(lambda: topology.owner(0) != elsewhere)


async def test_questions_are_asked_once_for_all(cluster: ValkeyCluster) -> None:
    """Whoever wants to know while the cluster is asked waits for that answer."""
    topology = Topology(cluster.url)
    assert len({topology.refresh_soon() for _ in range(100)}) == 1
    await topology.refresh_soon()


async def test_a_dead_seed_is_passed_over(tmp_path: Path) -> None:
    """Once the nodes are known, any of them tells what became of the others."""
    with valkey.running_cluster(tmp_path, 2) as two:
        topology = Topology(two.url)
        await topology.refresh_soon()
        await asyncio.to_thread(two.primaries[0].kill)
        topology.moved(0, Address("127.0.0.1", 1))
        await topology.refresh_soon()
        assert topology.owner(16383) == Address("127.0.0.1", two.primaries[1].port)
        assert topology.owner(0) != Address("127.0.0.1", 1)


async def test_a_node_that_does_not_know_its_address_is_where_it_was_asked(tmp_path: Path) -> None:
    """As one that is alone in its cluster."""
    with valkey.running_cluster(tmp_path, 1, options={"cluster-announce-ip": ""}) as one:
        topology = Topology(one.url)
        await topology.refresh_soon()
        assert topology.primaries == {Address("127.0.0.1", one.primaries[0].port)}


async def test_nobody_answers(unused_tcp_port: int) -> None:
    """Without any node nothing is known, and that is no error."""
    topology = Topology(f"redis://127.0.0.1:{unused_tcp_port}/0")
    await topology.refresh_soon()
    assert not topology.is_known
    assert topology.owner(0) is None


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("redis://one:6379/0", "redis://two:7000/0"),
        ("rediss://:secret@one:6379/0?x=1", "rediss://:secret@two:7000/0?x=1"),
        ("rediss://user:secret@[::1]:6379", "rediss://user:secret@two:7000"),
    ],
)
def test_nodes_are_reached_with_the_password_and_tls_of_the_url(url: str, other: str) -> None:
    """Only host and port differ."""
    assert Topology(url).url_of(Address("two", 7000)) == other


def test_an_ipv6_address_is_put_in_brackets() -> None:
    """As URLs have it."""
    topology = Topology("redis://one:6379/0")
    assert topology.url_of(Address("2001:db8::1", 6379)) == "redis://[2001:db8::1]:6379/0"
