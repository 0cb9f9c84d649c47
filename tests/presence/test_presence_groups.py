"""Presence on a real cluster: users are in groups, and each group is on a shard of its own."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rts_server import keys
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.sweep import LeaseSweep
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.redis_client.sharded_pipeline import ShardedPipeline
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.valkey import Valkey
from rts_server.tools.dev.valkey_cluster import ValkeyCluster
from tests.helpers import valkey
from tests.helpers.valkey import ask
from tests.helpers.waiting import eventually
from tests.presence.instance import Instance

GROUPS = len(keys.PRESENCE_GROUPS)
ROUNDS = 10


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """Three primaries of which tests break one, and mend it."""
    with valkey.running_cluster(tmp_path_factory.mktemp("broken"), 3) as running:
        yield running


@asynccontextmanager
async def instance(
    pipe: CommandPipe, cluster: ValkeyCluster, origin: str, users: Iterable[str], **times: Any
) -> AsyncIterator[Instance]:
    """Run an instance; alice is a friend of the users."""
    friends = {frozenset(("alice", user)) for user in users}
    async with Instance(pipe, cluster.url, origin, friends, **times) as made:
        yield made


def node_of(cluster: ValkeyCluster, user_id: str) -> Valkey:
    """Return the primary of a user's group."""
    group = keys.PRESENCE_GROUPS[keys.presence_group(user_id, GROUPS)]
    return cluster.primaries[slot_of(group.fence) * 3 // 16384]


async def test_users_are_spread_over_the_groups_and_seen_by_all_instances(
    shards: ShardedPipeline, cluster: ValkeyCluster
) -> None:
    """Every instance knows who came and who left, and sweeps one that ended in all groups."""
    users = [f"user{n}" for n in range(200)]
    async with (
        instance(shards, cluster, "one", users) as one,
        instance(shards, cluster, "two", users) as two,
    ):
        assert await are(one, users, "offline")
        for user in users:
            two.users.entered(user, f"phone of {user}")
        await eventually(lambda: are(one, users, "online"))
        sizes = await shards.execute_commands(
            [("SCARD", f"{group.of_instance}two.1") for group in keys.PRESENCE_GROUPS]
        )
        assert sum(sizes) == len(users)
        assert min(sizes) > 0
        assert {node_of(cluster, user).port for user in users} == {
            node.port for node in cluster.primaries
        }
        recent = await one.presences.recent(1.0)
        assert recent is not None
        assert recent >= set(users)
        for user in users:
            two.users.left(user, f"phone of {user}")
        await eventually(lambda: are(one, users, "offline"))
        await two.stop()
        await eventually(lambda: is_swept(shards))


async def are(one: Instance, users: Iterable[str], state: str) -> bool:
    """Return whether an instance reads this state of all users."""
    return {found.state for found in (await one.presences.read(users)).values()} == {state}


async def is_swept(shards: ShardedPipeline) -> bool:
    """Return whether only the first instance has leases, in all groups."""
    leases = await shards.execute_commands(
        [("ZRANGE", group.instances, 0, -1) for group in keys.PRESENCE_GROUPS]
    )
    return leases == [[b"one.1"]] * GROUPS


async def test_users_of_a_silent_shard_are_unknown_and_others_go_on(
    broken: ValkeyCluster,
) -> None:
    """Who begins to watch meanwhile is shown them as soon as the shard is back."""
    *others, silent = broken.primaries
    names = [f"user{n}" for n in range(60)]
    away = [user for user in names if node_of(broken, user) is silent][:5]
    here = [user for node in others for user in names if node_of(broken, user) is node][:10]
    users = away + here
    async with (
        valkey.pipe_by(broken.url) as pipe,
        instance(pipe, broken, "one", users, presence_lease=900.0, presence_sweep=900.0) as one,
    ):
        for user in away:
            one.users.entered(user, f"phone of {user}")
        await eventually(lambda: are(one, away, "online"))
        silent.signal(signal.SIGSTOP)
        try:
            shown = await one.watches.watch(one.watcher("alice"), users)
            assert {shown[user].state for user in away} == {"offline"}
            assert {shown[user].last for user in away} == {0}
            for user in here:
                one.users.entered(user, f"phone of {user}")
            await eventually(lambda: are(one, here, "online"))
            assert not any(one.states(user) for user in away)
        finally:
            silent.signal(signal.SIGCONT)
        await eventually(lambda: all(one.states(user) == ["online"] for user in away))
        assert one.lost == 0


async def test_an_idle_instance_costs_each_group_its_lease_and_its_sweep(
    shards: ShardedPipeline, cluster: ValkeyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many users it has: at the times of production that is 6 scripts a second."""
    users = [f"user{n}" for n in range(1_000)]
    made: Counter[str] = Counter()
    for kind, name in ((InstanceLease, "renew"), (LeaseSweep, "sweep_once")):
        monkeypatch.setattr(kind, name, counted(getattr(kind, name), made))
    async with instance(shards, cluster, "one", users, presence_lease=4.0) as one:
        for user in users:
            one.users.entered(user, f"phone of {user}")
        await eventually(lambda: are(one, users, "online"))
        await eventually(lambda: not any(group.counts._changed for group in one.groups))
        scripts, before = evaluated(cluster), made.copy()
        await eventually(lambda: made["sweep_once"] >= before["sweep_once"] + ROUNDS * GROUPS)
        rounds = made - before
        assert evaluated(cluster) - scripts <= rounds.total() + 2 * GROUPS


def counted(method: Any, made: Counter[str]) -> Any:
    """Return a method that counts its calls before they are made."""

    async def call(*given: Any) -> Any:
        made[method.__name__] += 1
        return await method(*given)

    return call


def evaluated(cluster: ValkeyCluster) -> int:
    """Return how many scripts the primaries have run."""
    stats = [ask(node, "INFO", "commandstats") for node in cluster.primaries]
    return sum(one.get("cmdstat_evalsha", {}).get("calls", 0) for one in stats)
