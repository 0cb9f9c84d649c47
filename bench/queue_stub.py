"""`python -m bench.queue_stub PORT`: SQS as far as the relay needs it; it accepts at once.

The local AWS carries one or two thousand messages a second and takes a core for it. A request to
this stub costs it little, so that a bench measures what stands before the queue.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import orjson
import uvloop

from rts_server.tools.dev.managed_process import ManagedProcess
from rts_server.tools.dev.ports import LOCAL
from tests.helpers.world import free_port

START_TIMEOUT_SECONDS = 10.0
_HEAD_END = b"\r\n\r\n"


class QueueStub(ManagedProcess):
    """The stub in a process of its own. `url`: value for AWS_ENDPOINT_URL of a relay."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://{LOCAL}:{self.port}"
        command = [sys.executable, "-m", "bench.queue_stub", str(self.port)]
        super().__init__("queue-stub", command, log=log, environment=os.environ)

    def start_and_wait(self) -> None:
        """Start, and wait until it listens. Raises StackError."""
        self.start()
        self.wait_healthy(START_TIMEOUT_SECONDS)

    def is_healthy(self) -> bool:
        """Return whether it listens."""
        with suppress(OSError), socket.create_connection((LOCAL, self.port), 0.5):
            return True
        return False


class StubConnection(asyncio.Protocol):
    """A connection of boto3: one request after the other, each with a Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._received += data
        for action, body in self._requests():
            call = orjson.loads(body)
            # a long poll of the quarantine, which is empty
            wait_seconds = call.get("WaitTimeSeconds", 0) if action == "ReceiveMessage" else 0
            answer = _answer(action, call)
            if wait_seconds:
                asyncio.get_running_loop().call_later(wait_seconds, self._reply, answer)
            else:
                self._reply(answer)

    def _requests(self) -> Iterator[tuple[str, bytes]]:
        """Yield (action, body) of each whole request, and drop it from what was received."""
        while _HEAD_END in self._received:
            head, _, rest = self._received.partition(_HEAD_END)
            lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
            headers = {name.lower(): value for name, _, value in lines}
            size = int(headers["content-length"])
            if len(rest) < size:
                return
            self._received = rest[size:]
            yield headers["x-amz-target"].rpartition(".")[2], rest[:size]

    def _reply(self, answer: dict[str, Any]) -> None:
        assert self._transport is not None
        body = orjson.dumps(answer)
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)


def _answer(action: str, call: dict[str, Any]) -> dict[str, Any]:
    if action == "GetQueueUrl":
        return {"QueueUrl": f"http://{LOCAL}/{call['QueueName']}"}
    if action == "SendMessageBatch":
        accepted = [
            {"Id": one["Id"], "MessageId": one["Id"], "MD5OfMessageBody": ""}
            for one in call["Entries"]
        ]
        return {"Successful": accepted, "Failed": []}
    return {}


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(StubConnection, LOCAL, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
