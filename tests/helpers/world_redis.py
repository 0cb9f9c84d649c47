"""The Redis of a world: one server, or the primaries of a cluster, and what they can lose."""

from __future__ import annotations

from collections.abc import Mapping

from redis import Redis

from rts_server import keys
from rts_server.channels import CLUSTER, ONE_SERVER, Channels
from rts_server.redis_client.slots import slot_of
from rts_server.tools.dev.valkey import Valkey
from tests.helpers.valkey import owner_says, save
from tests.helpers.waiting import until
from tests.helpers.world import World

Dumps = Mapping[Valkey, bytes]


def servers(world: World) -> list[Valkey]:
    """Return the server, or the primaries that the cluster began with."""
    stack = world.stack
    if stack.cluster is not None:
        return list(stack.cluster.primaries)
    assert stack.valkey is not None
    return [stack.valkey]


def server_of(world: World, key: str) -> Valkey:
    """Return the server that has a key or a channel."""
    every = servers(world)
    if len(every) == 1:
        return every[0]
    port = owner_says(every[0], slot_of(key))
    return next(one for one in every if one.port == port)


def client_of(world: World, key: str) -> Redis:
    """Return a client of the server that has a key."""
    return Redis.from_url(server_of(world, key).url)


def home_of(world: World, room_id: str) -> Valkey:
    """Return the server that has a room."""
    return server_of(world, keys.room(room_id).head)


def channels(world: World) -> Channels:
    """Return the names of its channels, and its commands for them."""
    return ONE_SERVER if world.stack.cluster is None else CLUSTER


def listeners(world: World, channel: str) -> int:
    """Return how many connections have subscribed to a channel."""
    asked = "SHARDNUMSUB" if channels(world).sharded else "NUMSUB"
    with client_of(world, channel) as client:
        ((_, count),) = client.execute_command(f"PUBSUB {asked}", channel)
    return int(count)


def wipe(world: World) -> None:
    """FLUSHALL on every server."""
    for server in servers(world):
        with Redis.from_url(server.url) as client:
            client.flushall()


def saved(world: World) -> Dumps:
    """Let every server save its data; return what each saved."""
    for server in servers(world):
        save(server)
    return {server: server.dump.read_bytes() for server in servers(world)}


def restart(world: World, dumps: Dumps, *only: Valkey) -> None:
    """Kill the servers, or only some; start them with the data of `dumps`, the others empty.

    On the main thread: the end of another one would end the servers.
    """
    chosen = only or servers(world)
    for server in chosen:
        server.kill()
        server.dump.unlink(missing_ok=True)
        if server in dumps:
            server.dump.write_bytes(dumps[server])
    for server in chosen:
        server.start_and_wait()
    if world.stack.cluster is not None:
        until(world.stack.cluster.is_whole)
