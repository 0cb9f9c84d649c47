"""A server in a thread that accepts and closes, before a client finishes its handshake."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NOW = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close send an RST."""


class HangUps:
    """Listens on 127.0.0.1:`port`; `count` is the number of connections it closed."""

    def __init__(self, listener: socket.socket, replies: int, reset: bool) -> None:
        self._listener, self._replies, self._reset = listener, replies, reset
        self.port: int = listener.getsockname()[1]
        self.count = 0

    def serve(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                link, _ = self._listener.accept()
                if self._reset:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
                if self._replies and link.recv(1_000):
                    link.sendall(b"+OK\r\n" * self._replies)
                link.close()
                self.count += 1
            except ConnectionError:
                continue
            except OSError:
                return


@contextmanager
def hanging_up(replies: int, reset: bool, port: int = 0) -> Iterator[HangUps]:
    """Send `replies` times OK on each connection and close it, until the block ends."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(100)
        made = HangUps(listener, replies, reset)
        thread = threading.Thread(target=made.serve)
        thread.start()
        try:
            yield made
        finally:  # a socket that is closed while a thread accepts on it keeps the thread
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
