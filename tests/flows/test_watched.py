"""Observability of a deployment: traces, metrics of each process, log lines, the timeline of a
message."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from rts_server import stack_names
from rts_server.__main__ import main
from rts_server.tools.dev import aws
from tests.helpers import template
from tests.helpers.commands import direct
from tests.helpers.sender import Sender
from tests.helpers.waiting import PATIENCE, until
from tests.helpers.world import World, fetched, free_port, name, placed

GRAFANA = template.PATH.parent / "grafana.json"
SECRET = "what two people said"


class Collector(ThreadingHTTPServer):
    """Receives spans over OTLP/HTTP. Spans are dicts of `service`, `name`, ids and attributes."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(data)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def take(self, data: bytes) -> None:
        self.raw += data
        asked = ExportTraceServiceRequest.FromString(data)
        for part in asked.resource_spans:
            service = next(
                one.value.string_value
                for one in part.resource.attributes
                if one.key == "service.name"
            )
            for scope in part.scope_spans:
                for span in scope.spans:
                    given = {one.key: one.value.string_value for one in span.attributes}
                    ids = {
                        "trace": span.trace_id,
                        "id": span.span_id,
                        "parent": span.parent_span_id,
                    }
                    times = {"start": span.start_time_unix_nano, "end": span.end_time_unix_nano}
                    self.spans.append(
                        {"service": service, "name": span.name, **ids, **times, **given}
                    )

    def trace_of(self, message_id: str) -> list[dict[str, Any]]:
        """The spans of the trace in which a message was sent."""
        trace = next(
            (s["trace"] for s in self.spans if s.get("rts.message_id") == message_id), None
        )
        return [span for span in self.spans if span["trace"] == trace]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def relay_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, relay_port: int
) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        url = f"http://127.0.0.1:{collector.server_port}"
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        running = World(
            tmp_path_factory.mktemp("watched"),
            RTS_LOG_LEVEL="DEBUG",
            RTS_EMF_INTERVAL="0.5",
            RTS_METRICS_PORT=str(relay_port),
        )
        try:
            running.start()
            yield running
        finally:
            running.stop()


async def sent(world: World) -> tuple[str, str]:
    """Send a message and wait until it is stored: (room_id, message_id)."""
    async with world.js(name("alice")) as a:
        sender = Sender(a, await direct(a, name("bob")))
        once = "11111111-1111-4111-8111-111111111111"
        asked = {"room_id": sender.room_id, "client_msg_id": once, "text": SECRET}
        first = await a.emit("message.send", asked)
        again = await a.emit("message.send", asked)
        assert again["data"]["duplicate"], "a trace is no part of what is compared"
        until(lambda: placed(world, sender.room_id) == 1)
        return sender.room_id, first["data"]["message_id"]


async def test_one_trace_from_the_command_to_the_table(
    watched: World, collector: Collector
) -> None:
    """Web, relay and Lambda report spans of one trace, in this order, without the text."""
    room_id, message_id = await sent(watched)

    def whole() -> bool:
        return {"message.send", "room.append", "outbox", "store"} <= {
            span["name"] for span in collector.trace_of(message_id)
        }

    until(whole)
    by_name = {span["name"]: span for span in reversed(collector.trace_of(message_id))}
    assert {one: by_name[one]["service"] for one in by_name} == {
        "message.send": "rts-web",
        "room.append": "rts-web",
        "outbox": "rts-relay",
        "store": "chat-message-to-db",
    }
    append = by_name["room.append"]
    assert append["parent"] == by_name["message.send"]["id"]
    assert by_name["outbox"]["parent"] == by_name["store"]["parent"] == append["id"]
    assert by_name["message.send"]["rts.status"] == "queued"
    assert {span["rts.room_id"] for span in by_name.values()} == {room_id}
    assert by_name["message.send"]["start"] <= by_name["store"]["start"] <= by_name["store"]["end"]
    assert SECRET.encode() not in collector.raw


async def test_the_timeline_of_a_message_is_printed(watched: World) -> None:
    """`rts-server trace` finds the room in the logs and shows accepted, queued and stored."""
    room_id, message_id = await sent(watched)
    told = await trace(watched, message_id)
    assert told.exit_code == 0, told.output
    assert SECRET not in told.output
    lines = told.output.splitlines()
    assert lines == sorted(lines)
    for says in (
        "accepted in the room's log",
        "put into the outbox, and sent to SQS since",
        "web0: message.send (ok)",
        "chat-message-to-db: stored message.new",
        "DynamoDB: there",
    ):
        assert any(says in line for line in lines), says
    assert f"room_id={room_id}" in told.output
    unknown = await trace(watched, "nobody-knows")
    assert (unknown.exit_code, "give --room" in unknown.output) == (1, True)
    absent = await trace(watched, "nobody-knows", "--room", room_id)
    assert (absent.exit_code, "Neither logs nor Redis" in absent.output) == (1, True)


async def trace(world: World, *arguments: str) -> Result:
    """Run `rts-server trace` as an operator of this deployment."""
    given = ["trace", *arguments, "--logs", str(world.data)]
    environment = world.stack.environment()
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, given, env=environment))


MOVES = {
    "web": (
        'rts_connections{namespace="/chat"}',
        'rts_commands_total{code="ok",event="message.send"}',
        'rts_command_seconds_count{event="message.send"}',
        "rts_deliveries_total",
        'rts_fate_seconds_count{fate="queued"}',
        "rts_stored_seconds_count",
        "rts_loop_lag_seconds_count",
    ),
    "relay": (
        'rts_queued_seconds_count{queue="messages"}',
        'rts_relayed_records_total{queue="chat-message-queue.fifo"}',
        "rts_relay_partitions",
        "rts_loop_lag_seconds_count",
    ),
}
"""Metrics that one message changes; those of depth, repairs, loads and readers are tested apart."""


async def test_every_process_serves_its_metrics(watched: World, relay_port: int) -> None:
    """`/metrics` of web and relay count what happened."""
    asked = {"web": watched.urls[0], "relay": f"http://127.0.0.1:{relay_port}"}
    async with watched.js(name("bob")), asyncio.timeout(PATIENCE):
        for process, wanted in MOVES.items():
            while still := [one for one in wanted if not await value(asked[process], one)]:
                await sent(watched)
                print(process, "does not tell yet", still)


async def value(url: str, sample: str) -> float:
    """The value of a sample of `/metrics`; 0 if there is none."""
    lines = (await fetched(f"{url}/metrics")).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{sample} "))


async def test_every_metric_of_alarms_and_dashboards_is_published(
    watched: World, relay_port: int
) -> None:
    """CloudWatch's metrics are in log lines of each kind of process, Grafana's in `/metrics`."""
    await sent(watched)
    wanted = {
        (one["Dimensions"][0]["Value"], one["MetricName"])
        for one in template.of_type("CloudWatch::Alarm").values()
        if one["Dimensions"][0]["Name"] == "Process"
    } | {
        (row[3], row[1])  # [namespace, name, dimension, its value, …], or [an expression]
        for widget in template.dashboard()["widgets"]
        for row in widget["properties"]["metrics"]
        if row[0] == "rts/chat"
    }
    assert len(wanted) > 20
    until(lambda: wanted <= reported_metrics(watched))
    text = await fetched(f"{watched.urls[0]}/metrics")
    text += await fetched(f"http://127.0.0.1:{relay_port}/metrics")
    queries = " ".join(re.findall(r'"expr": "(.*)"', GRAFANA.read_text()))
    for asked in re.findall(r"\b(?:rts|process)_\w+", queries):
        assert re.search(rf"^(# HELP )?{asked.removesuffix('_bucket')}\b", text, re.M), asked


def reported_metrics(world: World) -> set[tuple[str, str]]:
    """(process, metric) of every line in the embedded metric format so far."""
    texts = [world.relay.log.read_text(), world.webs[0].log.read_text()]
    logs = aws.client(world.stack.settings, "logs")
    for group in stack_names.log_groups("chat"):
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        texts += [event["message"] for page in pages for event in page["events"]]
    lines = [json.loads(line) for t in texts for line in t.splitlines() if '"_aws"' in line]
    return {
        (line["Process"], metric["Name"])
        for line in lines
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }


async def test_a_connection_is_one_line_with_its_ids(watched: World) -> None:
    """At its end, with user and session; its commands have the same session at DEBUG."""
    alice = name("alice")
    async with watched.js(alice) as a:
        (ready,) = a.of_type("session.ready")
        await a.emit("room.list", {})

    def lines(message: str) -> list[dict[str, Any]]:
        every = map(json.loads, watched.webs[0].log.read_text().splitlines())
        return [one for one in every if one.get("message") == message and one["user_id"] == alice]

    until(lambda: lines("connection ended"))
    (ended,) = lines("connection ended")
    (listed,) = lines("room.list")
    assert ended["session_id"] == listed["session_id"] == ready["data"]["session_id"]
    assert ended["process"] == "web"
    assert SECRET not in watched.webs[0].log.read_text()
