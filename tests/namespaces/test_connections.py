"""The connections of an instance: one user each, and the newest of their tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import errors
from rts_server.auth import Identity, Tokens
from rts_server.config import Settings
from rts_server.engine.server import Server
from rts_server.namespaces.connections import Connections
from rts_server.persistence.archive import Archive
from rts_server.persistence.revocations import Revocations
from rts_server.presence.connection_counts import ConnectionCounts
from rts_server.presence.instance_lease import InstanceLease
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.manager import ClientManager
from rts_server.runtime.admission import Admission

NOW = int(time.time())


def token(user_id: str, issued: int = 0, lives: int = 3600) -> Identity:
    """A token issued so many seconds from now."""
    return Identity(user_id, NOW + lives, NOW + issued)


class Closing(Server):
    """Notes which connections are closed, and why."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, ClientManager())
        self.closed: list[tuple[str, str]] = []

    def close(self, eio_sid: str, code: str, retry_after_ms: int | None = None) -> None:
        """Note it."""
        self.closed.append((eio_sid, code))


class Unlisted(dict[str, Any]):
    """A dict in which keys are looked up, and which is not gone through."""

    def __iter__(self) -> Any:
        raise AssertionError("all connections are gone through")

    items = values = keys = __iter__


@asynccontextmanager
async def connections(**given: Any) -> AsyncIterator[tuple[Connections, Closing, ConnectionCounts]]:
    """Connections without Redis."""
    settings, redis = Settings(**given), Redis()
    server, archive = Closing(settings), Archive(settings)
    counts = ConnectionCounts(settings, redis, InstanceLease(settings, redis, "origin", dict))
    made = Connections(
        settings,
        server,
        connection_counts=counts,
        tokens=Tokens(settings),
        revocations=Revocations(settings, redis, archive),
        control_channel=ControlChannel(redis),
        admission=Admission(),
    )
    try:
        yield made, server, counts
    finally:
        for eio_sid in made.eio_sids():
            for namespace in list(made.namespaces(eio_sid)):
                made.leave(eio_sid, namespace)
        await archive.close()


async def test_all_namespaces_of_a_connection_are_one_connection_of_its_user() -> None:
    """The user is online until the last namespace is left."""
    async with connections() as (made, _, counts):
        first = made.enter("eio", "/chat", token("alice"))
        assert made.enter("eio", "/presence", token("alice")) == first
        assert counts.here("alice") == ["eio"]
        made.leave("eio", "/chat")
        assert counts.here("alice") == ["eio"]
        made.leave("eio", "/presence")
        assert counts.here("alice") == []
        assert made.eio_sids() == []


async def test_a_connection_belongs_to_one_user() -> None:
    """A token of somebody else is refused, and changes nothing."""
    async with connections() as (made, _, counts):
        made.enter("eio", "/chat", token("alice"))
        with pytest.raises(errors.Forbidden):
            made.enter("eio", "/presence", token("bob"))
        assert counts.here("bob") == []
        assert made.namespaces("eio") == {"/chat"}


async def test_an_older_token_does_not_replace_a_newer_one() -> None:
    """Tokens of the namespaces may arrive in any order."""
    async with connections() as (made, _, _):
        newer = token("alice", issued=10, lives=7200)
        made.enter("eio", "/chat", newer)
        assert made.update_token("eio", token("alice", issued=5)) is newer


async def test_to_close_a_user_only_their_connections_are_looked_at() -> None:
    """However many others there are, and however many users were revoked."""
    async with connections() as (made, server, _):
        for user_id in ("alice", "bob", "carol"):
            made.enter(f"eio-{user_id}", "/chat", token(user_id))
        everybody = made._connections
        made._connections = Unlisted(everybody)
        made.close("carol", "banned")
        made.revoked({f"user-{n}": NOW for n in range(1_000)} | {"alice": NOW})
        made.close("nobody", "banned")
        made._connections = everybody
        assert server.closed == [("eio-carol", "banned"), ("eio-alice", "revoked")]
        made.leave("eio-carol", "/chat")
        made.close("carol", "banned")
        assert len(server.closed) == 2


async def test_a_revocation_closes_the_connections_with_older_tokens() -> None:
    """A token issued after it stays valid (A3)."""
    async with connections() as (made, server, _):
        made.enter("old", "/chat", token("alice", issued=-10))
        made.enter("new", "/chat", token("alice", issued=10))
        made.enter("other", "/chat", token("bob", issued=-10))
        made.revoked({"alice": NOW})
        assert server.closed == [("old", "revoked")]


async def test_a_connection_with_too_many_errors_is_closed() -> None:
    """Others are not touched by one hostile client (R2)."""
    async with connections(rate_limits="standard", rates="errors=0.001/2") as (made, server, _):
        for _attempt in range(2):
            made.count_error("eio")
        assert server.closed == []
        made.count_error("eio")
        made.count_error("other")
        assert server.closed == [("eio", "too_many_errors")]


async def test_closing_a_user_closes_all_their_connections() -> None:
    """And nobody else's."""
    async with connections() as (made, server, _):
        made.enter("one", "/chat", token("alice"))
        made.enter("two", "/presence", token("alice"))
        made.enter("other", "/chat", token("bob"))
        made.close("alice", "banned")
        assert sorted(server.closed) == [("one", "banned"), ("two", "banned")]
