"""Commands to the primaries of a cluster, pipelined on one connection to each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import AskError, MovedError, TryAgainError
from redis.exceptions import ConnectionError as Lost

from rts_server.channels import CLUSTER
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, OnReply, RedisPipeline, fail
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.slots import keys_of, slot_of, slot_of_command
from rts_server.redis_client.topology import Address, Topology
from rts_server.redis_client.transport import error_of_reply
from rts_server.runtime.tasks import Tasks

MAX_REDIRECTS = 5
"""A command that is sent on more often is given up: the nodes do not agree."""
TRY_AGAIN_SECONDS = 0.05
"""Time until a command is sent again whose keys are on both sides of a move."""
MAX_TRIES = 20
"""Tries of such a command: a second."""

MakePool = Callable[[str, Primary], ConnectionPool]
"""Makes a pool of connections to a URL."""


@dataclass(slots=True)
class _Call:
    """A command until its reply: its slot, and how often it was sent on and tried again."""

    command: Command
    slot: int
    on_reply: OnReply
    redirects: int = 0
    tries: int = 0


class ShardedPipeline(CommandPipe):
    """A pipe to a cluster. Replies of one primary come in the order of its commands.

    A reply that says where a command belongs (MOVED, ASK) or that its keys are on their way
    (TRYAGAIN) also says that it was not executed, so it is sent again; it may be overtaken by a
    later command then. A primary that is away, or a slot that nobody serves, fails its own commands
    only.
    """

    channels = CLUSTER

    def __init__(self, topology: Topology, make_pool: MakePool) -> None:
        self._topology = topology
        self._make_pool = make_pool
        self._links: dict[Address, RedisPipeline] = {}
        self._unsent: list[_Call] = []
        self._opening: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._is_closed = False

    async def close(self) -> None:
        """Close all connections; commands without a reply get `Lost`, as do later ones."""
        self._is_closed = True
        await self._tasks.close()
        unsent, self._unsent = self._unsent, []
        fail(call.on_reply for call in unsent)
        for link in self._links.values():
            await link.close()

    def execute_commands(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands; the future holds the list of their replies, errors as exceptions.

        One that names no key goes to the server of the one before it.
        """
        every: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        answers: list[Any] = [None] * len(commands)
        missing = len(commands)
        if not commands:
            every.set_result(answers)
            return every

        def answered(at: int, reply: Any) -> None:
            nonlocal missing
            answers[at] = reply
            missing -= 1
            if not missing and not every.done():
                every.set_result(answers)

        slot = slot_of_command(commands[0])
        for at, command in enumerate(commands):
            if names := keys_of(command):
                slot = slot_of(names[0])
            self._route(_Call(command, slot, partial(answered, at)))
        return every

    def send(self, command: Command, on_reply: OnReply) -> None:
        """Send a command to the primary of its keys. Never blocks."""
        self._route(_Call(command, slot_of_command(command), on_reply))

    def send_beside(self, key: str, command: Command, on_reply: OnReply) -> None:
        """Send a command that names no key to the primary of this key. Never blocks."""
        self._route(_Call(command, slot_of(key), on_reply))

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return slot_of(key)

    def server_of(self, key: str) -> Hashable:
        """Return the address of the primary that serves a key, None if it is not known."""
        return self._topology.owner(slot_of(key))

    def _route(self, call: _Call) -> None:
        if self._is_closed:
            fail([call.on_reply])
            return
        if not self._topology.is_known:
            self._unsent.append(call)
            if self._opening is None:
                self._opening = self._tasks.keep(self._open())
            return
        owner = self._topology.owner(call.slot)
        if owner is None:
            self._topology.refresh_soon()
            call.on_reply(error_of_reply("CLUSTERDOWN Hash slot not served"))
        else:
            self._send_to(owner, call)

    async def _open(self) -> None:
        await asyncio.shield(self._topology.refresh_soon())
        self._opening = None
        unsent, self._unsent = self._unsent, []
        if not self._topology.is_known:
            fail(call.on_reply for call in unsent)
            return
        for call in unsent:
            self._route(call)

    def _send_to(self, address: Address, call: _Call) -> None:
        self._link(address).send(call.command, partial(self._answered, address, call))

    def _link(self, address: Address) -> RedisPipeline:
        link = self._links.get(address)
        if link is None:
            primary = self._topology.state_of(address)
            pool = self._make_pool(self._topology.url_of(address), primary)
            link = self._links[address] = RedisPipeline(pool, primary)
        return link

    def _answered(self, address: Address, call: _Call, reply: Any) -> None:
        if isinstance(reply, Exception) and self._is_sent_again(address, call, reply):
            return
        call.on_reply(reply)

    def _is_sent_again(self, address: Address, call: _Call, error: Exception) -> bool:
        """Send a command again that was not executed; return whether it was."""
        if isinstance(error, Lost):  # the primary is away, or it is none any more
            self._topology.refresh_soon()
            return False
        if isinstance(error, TryAgainError):
            call.tries += 1
            if call.tries < MAX_TRIES:
                self._tasks.keep(self._try_again(call))
            return call.tries < MAX_TRIES
        if not isinstance(error, AskError) or call.redirects == MAX_REDIRECTS:
            return False
        call.redirects += 1
        # A node that does not know its own name leaves it out, and means its own.
        there = Address(error.host or address.host, error.port)
        if isinstance(error, MovedError):
            self._topology.moved(call.slot, there)
            self._send_to(there, call)
        else:
            self._ask(there, call)
        return True

    def _ask(self, address: Address, call: _Call) -> None:
        """Send a command to where its slot moves to. ASKING is for the next command only."""
        link = self._link(address)
        link.send(("ASKING",), _ignore)
        link.send(call.command, partial(self._answered, address, call))

    async def _try_again(self, call: _Call) -> None:
        try:
            await asyncio.sleep(TRY_AGAIN_SECONDS)
        except asyncio.CancelledError:
            fail([call.on_reply])
            raise
        self._route(call)


def _ignore(reply: Any) -> None:
    """Need no reply: that of the command tells what became of it."""
