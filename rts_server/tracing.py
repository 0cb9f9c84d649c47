"""OpenTelemetry, an extra: one trace follows a message from its command to DynamoDB.

Imported only where an endpoint is configured; then the parts below take the place of those they
wrap, and nothing else knows of it. Spans hold ids and positions, never what people wrote: no
exception is recorded, since its message could.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rts_server import errors
from rts_server.namespaces.answer import Answer, Handler, PendingAnswer
from rts_server.namespaces.session import Session
from rts_server.persistence.outbox import Entry
from rts_server.relay.outbox_metrics import accepted_ms
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.pending import Durability
from rts_server.roomlog.request import AppendRequest, AppendResult, NoOp

FIELD = "traceparent"
"""Of a record and of W3C Trace Context, section 3.2: where a span says what it belongs to."""

EXPORT_WITHIN = 2.0

_FIRST = re.compile(rf'\{{"v":\d+,"{FIELD}":"([0-9a-f-]{{55}})"')
"""append.lua writes the fields of a record in this order."""

_CONTEXT = TraceContextTextMapPropagator()


class Tracing:
    """The spans of one process; `exporter` for those who want them elsewhere than at `endpoint`."""

    def __init__(self, process: str, exporter: SpanExporter | None = None) -> None:
        # Endpoint, headers and sampler are those of the OTEL_ variables.
        self._provider = TracerProvider(resource=Resource.create({"service.name": process}))
        given = exporter or OTLPSpanExporter(timeout=EXPORT_WITHIN)
        self._provider.add_span_processor(BatchSpanProcessor(given))
        self.tracer: Tracer = self._provider.get_tracer("rts_server")

    async def close(self) -> None:
        """Send what is left."""
        await asyncio.to_thread(self._provider.shutdown)

    def instrument(self, name: str, handler: Handler) -> Handler:
        """Wrap a handler in a span that ends when the durability of its append is known."""
        return _followed(self.tracer, name, handler)

    def accepted_by_sqs(self, entries: Iterable[Entry]) -> None:
        """A span for each record that SQS accepted: from accepted in the log until now."""
        now = time.time_ns()
        for entry in entries:
            if parent := _FIRST.match(entry.body):
                accepted = round(accepted_ms(entry.entry_id) * 1_000_000)
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
            carrying = _carrying(request) if span.is_recording() else request
            appended = await super().append(carrying, max_epoch)
            if isinstance(appended, AppendResult):
                span.set_attribute("rts.position", f"{appended.epoch}:{appended.offset}")
                span.set_attribute("rts.duplicate", appended.duplicate)
            return appended


def _carrying(request: AppendRequest) -> AppendRequest:
    """The request with the current span in the records of its events, before all other fields."""
    carrier: dict[str, str] = {}
    _CONTEXT.inject(carrier)
    events = tuple(
        dataclasses.replace(event, extra={"traceparent": carrier[FIELD], **event.extra})
        for event in request.events
    )
    return dataclasses.replace(request, events=events)


def _followed(tracer: Tracer, name: str, handler: Handler) -> Handler:
    async def follow(namespace: Any, session: Session, payload: dict[str, Any]) -> Answer:
        named = {"rts.session_id": session.session_id, "rts.user_id": session.user_id}
        if isinstance(payload.get("room_id"), str):
            named["rts.room_id"] = payload["room_id"]
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

    return follow


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, errors.Refusal) else type(error).__name__


def _end(span: Span, answer: Answer) -> None:
    """Now, or when the fate of what was appended is known."""
    data = answer.data if isinstance(answer, PendingAnswer) else answer
    message_id = data.get("message_id")
    if isinstance(message_id, str):
        span.set_attribute("rts.message_id", message_id)
    if not isinstance(answer, PendingAnswer):
        span.end()
        return

    def ended(fate: asyncio.Future[Durability]) -> None:
        span.set_attribute("rts.status", "cancelled" if fate.cancelled() else fate.result())
        span.end()

    answer.durability.add_done_callback(ended)
