"""The Redis of a deployment and its failures: two Valkeys, one of them the primary."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from redis import Redis

from rts_server.tools.dev.valkey import Valkey
from tests.helpers.valkey import lengths, save
from tests.helpers.waiting import until
from tests.helpers.world import free_port
from tests.nemesis.link import Link

WITHIN = 20.0
Mend = Callable[[], Awaitable[None]]


class Memory:
    """`primary` answers now. After a failover the other one lives on as its replica, and links
    that are open stay with it; new ones come to the primary, as behind ElastiCache's address.
    """

    def __init__(self, primary: Valkey, data: Path) -> None:
        self.primary = primary
        self.standby: Valkey | None = None
        self.links: list[Link] = []
        self._dump = data / "older.rdb"
        self._data = data

    def stop(self) -> None:
        """End the second one; the first belongs to the stack."""
        for valkey in (self.standby, self.primary):
            if valkey is not None:
                valkey.kill()

    @property
    def nodes(self) -> dict[str, Valkey]:
        """The primary, by the name of links to it."""
        return {"redis": self.primary}

    async def break_(self, kind: str, target: str = "redis") -> Mend:
        """Inject a fault; return the function that ends it. Call it on the main thread."""
        begin: dict[str, Mend] = {
            "failover": self._fail_over,
            "lose-tail": self._remember,
            "restart": self._end,
        }
        if kind in begin:
            await begin[kind]()
        elif kind == "demote":
            self.ask("REPLICAOF", "127.0.0.1", "1")
        else:
            self.primary.signal(signal.SIGSTOP if kind == "stop" else signal.SIGKILL)

        async def mend() -> None:
            if kind == "stop":
                self.primary.signal(signal.SIGCONT)
            elif kind == "demote":
                self.ask("REPLICAOF", "NO", "ONE")
            elif kind != "failover":
                self._reopen(kind)

        return mend

    async def _end(self) -> None:
        """Stop it in order, so that it saves its data."""
        self.primary.terminate()
        self.primary.wait(WITHIN)

    async def _remember(self) -> None:
        """Save the data with which it will come back."""
        await asyncio.to_thread(save, self.primary)
        shutil.copy(self.primary.dump, self._dump)

    def ask(self, *command: str) -> Any:
        """Send a command to the primary, not through a proxy."""
        return _ask(self.primary, *command)

    def lengths(self, pattern: str) -> int:
        """Return the number of entries in the streams of this pattern."""
        return lengths(self.primary, pattern)

    def _reopen(self, kind: str) -> None:
        """Restart Redis with the data that this fault leaves."""
        self.primary.kill()
        if kind == "lose-all":
            self.primary.dump.unlink(missing_ok=True)
        if kind == "lose-tail":
            shutil.copy(self._dump, self.primary.dump)
        self.primary.start_and_wait()

    async def _fail_over(self) -> None:
        """Make the standby the primary, with the data replicated so far."""
        if self.standby is None:
            log = self._data / "standby.log"
            self.standby = Valkey(self._data / "standby", free_port(), log=log)
        old, new = self.primary, self.standby
        if not new.alive:
            new.start_and_wait()
        _ask(new, "REPLICAOF", "127.0.0.1", str(old.port))
        await asyncio.to_thread(until, lambda: _follows(new), WITHIN)
        _ask(new, "REPLICAOF", "NO", "ONE")
        _ask(old, "REPLICAOF", "127.0.0.1", str(new.port))
        self.primary, self.standby = new, old
        for link in self.links:
            link.target = new.port


def _ask(valkey: Valkey, *command: str) -> Any:
    with Redis.from_url(valkey.url) as client:
        return client.execute_command(*command)


def _follows(valkey: Valkey) -> bool:
    with Redis.from_url(valkey.url) as client:
        return bool(client.info("replication").get("master_link_status") == "up")
