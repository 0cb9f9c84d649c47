"""OpenTelemetry (an extra): one trace follows a message from its command to DynamoDB.

Imported only if an endpoint is configured; then the classes here replace those they wrap, and no
other module depends on it. Spans hold ids and positions, never texts: exceptions are not recorded,
because their messages could hold some.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rts_server import errors
from rts_server.namespaces.answer import Answer, Handler, LaterAnswer, PendingAnswer
from rts_server.namespaces.session import Session
from rts_server.persistence.outbox import Entry
from rts_server.relay.outbox_metrics import appended_ms
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp

FIELD = "traceparent"
"""Field of a record with its parent span (W3C Trace Context, section 3.2)."""

EXPORT_TIMEOUT_SECONDS = 2.0

_TRACEPARENT = re.compile(rf'\{{"v":\d+,"{FIELD}":"([0-9a-f-]{{55}})"')
"""append.lua writes the fields of a record in this order."""

_CONTEXT = TraceContextTextMapPropagator()


class Tracing:
    """The spans of one process. `exporter` replaces the one to the configured endpoint."""

    def __init__(self, process: str, exporter: SpanExporter | None = None) -> None:
        # OpenTelemetry reads endpoint, headers and sampler from its OTEL_ variables.
        self._provider = TracerProvider(resource=Resource.create({"service.name": process}))
        exporter = exporter or OTLPSpanExporter(timeout=EXPORT_TIMEOUT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer("rts_server")

    async def close(self) -> None:
        """Export the remaining spans."""
        await asyncio.to_thread(self._provider.shutdown)

    def instrument(self, name: str, handler: Handler) -> Handler:
        """Wrap a handler in a span that ends when the durability of its append is known."""
        return _traced(self.tracer, name, handler)

    def accepted_by_sqs(self, entries: Iterable[Entry]) -> None:
        """Write a span for each record that SQS accepted: from its append until now."""
        now = time.time_ns()
        for entry in entries:
            if parent := _TRACEPARENT.match(entry.body):
                accepted = round(appended_ms(entry.entry_id) * 1_000_000)
                named = {"rts.room_id": entry.room_id, "rts.position": entry.position}
                self.tracer.start_span(
                    "outbox",
                    _CONTEXT.extract({FIELD: parent[1]}, Context()),
                    SpanKind.PRODUCER,
                    named,
                    start_time=min(accepted, now),
                ).end(now)


class TracedAppender(Appender):
    """Every append is a span, and its records carry the span's context to the Lambda functions."""

    def __init__(self, tracer: Tracer, *parts: Any) -> None:
        super().__init__(*parts)
        self._tracer = tracer

    async def append(self, request: AppendRequest, max_epoch: int = 0) -> AppendResult | NoOp:
        """See `Appender.append`. Neither ids nor hash of the request change."""
        with self._tracer.start_as_current_span(
            "room.append",
            attributes={"rts.room_id": request.room_id, "rts.request_id": request.request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            traced = _with_span(request) if span.is_recording() else request
            appended = await super().append(traced, max_epoch)
            if isinstance(appended, AppendResult):
                span.set_attribute("rts.position", f"{appended.epoch}:{appended.offset}")
                span.set_attribute("rts.duplicate", appended.duplicate)
            return appended


def _with_span(request: AppendRequest) -> AppendRequest:
    """Return the request with the current span as first field of its events' records."""
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier)
    events = tuple(
        dataclasses.replace(event, extra={"traceparent": carrier[FIELD], **event.extra})
        for event in request.events
    )
    return dataclasses.replace(request, events=events)


def _traced(tracer: Tracer, name: str, handler: Handler) -> Handler:
    async def traced(namespace: Any, session: Session, payload: Mapping[str, object]) -> Answer:
        named = {"rts.session_id": session.session_id, "rts.user_id": session.user_id}
        room_id = payload.get("room_id")
        if isinstance(room_id, str):
            named["rts.room_id"] = room_id
        with tracer.start_as_current_span(
            name,
            kind=SpanKind.SERVER,
            attributes=named,
            record_exception=False,
            set_status_on_exception=False,
            end_on_exit=False,
        ) as span:
            try:
                answer = await handler(namespace, session, payload)
            except BaseException as error:
                span.set_attribute("rts.code", _code(error))
                span.end()
                raise
        _end(span, answer)
        return answer

    return traced


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, errors.Refusal) else type(error).__name__


def _end(span: Span, answer: Answer) -> None:
    """End the span, at once or when the durability of the append is known."""
    data = answer.data if isinstance(answer, PendingAnswer) else answer
    message_id = None if isinstance(data, LaterAnswer) else data.get("message_id")
    if isinstance(message_id, str):
        span.set_attribute("rts.message_id", message_id)
    if not isinstance(answer, PendingAnswer):
        span.end()
        return

    def ended(durability: asyncio.Future[Durability]) -> None:
        span.set_attribute(
            "rts.status", "cancelled" if durability.cancelled() else durability.result()
        )
        span.end()

    answer.durability.add_done_callback(ended)
