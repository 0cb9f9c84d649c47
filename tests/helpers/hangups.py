"""A server that accepts and hangs up, in a thread: quicker than a client says its first word."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NOW = struct.pack("ii", 1, 0)
"""SO_LINGER of a close that is an RST."""


class HangUps:
    """127.0.0.1:`port`; `count`: how many links it ended."""

    def __init__(self, listener: socket.socket, replies: int, reset: bool) -> None:
        self._listener, self._replies, self._reset = listener, replies, reset
        self.port: int = listener.getsockname()[1]
        self.count = 0

    def serve(self) -> None:
        """Until the listener is closed."""
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
    """Answer that many words of a handshake, then close, as long as the block lasts."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(100)
        made = HangUps(listener, replies, reset)
        thread = threading.Thread(target=made.serve)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
