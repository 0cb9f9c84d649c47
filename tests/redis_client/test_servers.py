"""One server or a cluster: the settings say which, and a Redis of the other kind is refused."""

from __future__ import annotations

import pytest

from rts_server.config import Settings
from rts_server.redis_client.info import info_field
from rts_server.redis_client.servers import RedisServers, check_kind
from rts_server.tools.dev.valkey_cluster import ValkeyCluster


def settings_of(url: str, cluster: int) -> Settings:
    """Return settings that lead to a Redis."""
    return Settings(redis_url=url, redis_cluster=cluster)


async def test_a_cluster_that_is_addressed_as_one_server_is_refused(cluster: ValkeyCluster) -> None:
    """In one sentence that says what to do."""
    with pytest.raises(SystemExit, match=r"leads to a cluster: set RTS_REDIS_CLUSTER=1\."):
        await check_kind(settings_of(cluster.url, 0))
    await check_kind(settings_of(cluster.url, 1))


async def test_one_server_that_is_addressed_as_a_cluster_is_refused(valkey_url: str) -> None:
    """And the reverse."""
    with pytest.raises(SystemExit, match="is set, but RTS_REDIS_URL leads to a single server"):
        await check_kind(settings_of(valkey_url, 1))
    await check_kind(settings_of(valkey_url, 0))


async def test_a_redis_that_is_away_refuses_no_start(unused_tcp_port: int) -> None:
    """Processes start without it (R7)."""
    for cluster in (0, 1):
        await check_kind(settings_of(f"redis://127.0.0.1:{unused_tcp_port}/0", cluster))


async def test_pipes_lead_to_what_the_settings_say(valkey_url: str, cluster: ValkeyCluster) -> None:
    """All of a process share what is known of the servers."""
    for url, number in ((valkey_url, 0), (cluster.url, 1)):
        servers = RedisServers(settings_of(url, number))
        pipes = [servers.pipe() for _ in range(2)]
        for pipe in pipes:
            assert pipe.channels.sharded == bool(number)
            assert await pipe.execute_command("EXISTS", "nothing") == 0
            await pipe.close()
        await servers.close()


def test_a_field_of_info_is_found_by_its_whole_name() -> None:
    """Other names end with it."""
    info = b"# Replication\r\nother_role:x\r\nrole:master\r\nempty:\r\n"
    assert [info_field(info, name) for name in ("role", "empty", "none")] == ["master", "", ""]
