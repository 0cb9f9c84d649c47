"""`python -m bench.functions`: how fast one room drains through the message function.

The function runs in this process, one batch of ten after the other, as a FIFO group gives them.
DynamoDB is a stub that answers every call after `--latency`, so that the figure is the number of
round trips that wait for each other, and the CPU of the function.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from typing import Any

import click
import orjson
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from bench.machine import describe_machine
from lambdas import tables
from lambdas.chat_message_to_db.handler import lambda_handler
from tests.helpers import aws
from tests.helpers.record_samples import new

BATCH = 10


class DynamoDBStub:
    """Answers calls after a latency (s). Of all items it keeps the heads of rooms."""

    def __init__(self, latency: float) -> None:
        self.calls = 0
        self._latency = latency
        self._heads: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        """Answer a request instead of sending it (event `before-send`)."""
        time.sleep(self._latency)
        body, headers = orjson.loads(request.body), HTTPHeaders()
        with self._lock:
            self.calls += 1
            answer = self._apply(body)
        return AWSResponse(request.url, 200, headers, _Raw(orjson.dumps(answer)))

    def _apply(self, body: dict[str, Any]) -> dict[str, Any]:
        room_id, sort = body["Key"]["room_id"]["S"], body["Key"].get("sk", {}).get("S")
        if "UpdateExpression" not in body:
            head = self._heads.get(room_id)
            return {"Item": head} if head else {}
        if sort == "HEAD":
            head = self._heads.setdefault(room_id, dict(body["Key"]))
            names = body["ExpressionAttributeNames"]
            assigned, _, removed = body["UpdateExpression"].partition(" REMOVE ")
            for pair in assigned.removeprefix("SET ").split(", "):
                name, _, value = pair.partition(" = ")
                head[names[name]] = body["ExpressionAttributeValues"][value]
            for name in filter(None, removed.split(", ")):
                head.pop(names[name], None)
        return {}


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--messages", type=click.IntRange(BATCH, 100_000), default=1_000)
@click.option("--text", type=click.IntRange(1, 4_000), default=200, help="Characters of each.")
@click.option("--latency", type=click.FloatRange(0, 1_000), default=5.0, help="ms of each call.")
def main(messages: int, text: int, latency: float) -> None:
    """Drain messages of one room; print messages/s, calls and CPU of each batch."""
    os.environ |= aws.ENVIRONMENT
    stub = DynamoDBStub(latency / 1000)
    events: Any = tables.client().meta.events
    events.register("before-send.dynamodb", stub.answer)
    bodies = [new(1, n, n, f"{n:026d}", text="t" * text) for n in range(1, messages + 1)]
    batches = [aws.event(*bodies[at : at + BATCH]) for at in range(0, messages, BATCH)]
    seconds, cpu = _drained(batches)
    click.echo(describe_machine())
    click.echo(
        f"{messages / seconds:,.0f} messages/s of one room, {latency:g} ms a call; per batch "
        f"{seconds / len(batches) * 1000:.1f} ms, {stub.calls / len(batches):.1f} calls, "
        f"{cpu / len(batches) * 1000:.1f} ms of CPU"
    )


def _drained(batches: list[Any]) -> tuple[float, float]:
    """Apply the batches; return (seconds, CPU seconds). Raises RuntimeError if one failed."""
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        with contextlib.redirect_stdout(io.StringIO()):
            answer = lambda_handler(batch, None)
        if answer["batchItemFailures"]:
            raise RuntimeError("A record failed.")
    return time.perf_counter() - begun, time.process_time() - cpu


if __name__ == "__main__":
    main()
