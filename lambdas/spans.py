"""The last span of a message's trace, if the template's TraceEndpoint is set.

OpenTelemetry is not part of the zips: it comes with the layer given as TraceLayer.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from lambdas.batch_report import log_fields
from rts_server.persistence.records import Record

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
LAMBDA_EXPORT_TIMEOUT_SECONDS = 1.0
"""Short, so that an unreachable collector does not make the function time out."""


@cache
def _provider() -> Any:
    """Return the tracer provider, or None without an endpoint or without the layer."""
    if not os.environ.get(ENDPOINT_VARIABLE):
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
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(timeout=LAMBDA_EXPORT_TIMEOUT_SECONDS))
    )
    return provider


def store_span(record: Record[Any]) -> AbstractContextManager[Any]:
    """Return a context manager: a span around the writes, child of the record's `traceparent`."""
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
        attributes={f"rts.{name}": value for name, value in log_fields(record).items()},
        record_exception=False,
        set_status_on_exception=False,
    )
    return span


def flush() -> None:
    """Export finished spans: between two invocations the function is frozen."""
    if (provider := _provider()) is not None:
        provider.force_flush(round(LAMBDA_EXPORT_TIMEOUT_SECONDS * 1000))
