"""The last span of a message's trace, made only when TraceEndpoint of the template is given.

OpenTelemetry is no part of the zips: it comes with the layer of TraceLayer.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from lambdas.batch import place
from rts_server.persistence.records import Record

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORT_WITHIN = 1.0
"""Seconds; a collector that is away must not make the function run out of its time."""


@cache
def _provider() -> Any:
    """The SDK of the layer; None when nobody asked for spans, or there is no layer."""
    if not os.environ.get(ENDPOINT):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return None
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "lambda")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_WITHIN)))
    return provider


def applying(record: Record) -> AbstractContextManager[Any]:
    """Around the writes of a record: a span under the one that its record carries."""
    provider = _provider()
    if provider is None or not record.traceparent:
        return nullcontext()
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract({"traceparent": record.traceparent}, Context())
    span: AbstractContextManager[Any] = provider.get_tracer("lambdas").start_as_current_span(
        "store",
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes={f"rts.{name}": value for name, value in place(record).items()},
        record_exception=False,
        set_status_on_exception=False,
    )
    return span


def flush() -> None:
    """Send what there is: between two invocations nothing runs."""
    if (provider := _provider()) is not None:
        provider.force_flush(round(EXPORT_WITHIN * 1000))
