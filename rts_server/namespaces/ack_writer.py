"""The ack of a command: written once, counted and, if something is wrong, logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from functools import cache

import orjson

from rts_server import errors, metrics
from rts_server.emf import SERVER_ERROR_CODES
from rts_server.engine.frames import Frame
from rts_server.engine.packets import Encoded, ack_packet, ack_prefix
from rts_server.namespaces.session import Session
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

CLIENT_ERRORS = frozenset(
    {"bad_request", "invalid_param", "message_too_large", "unsupported_type", "rate_limited"}
)
"""Codes that count toward `too_many_errors`: a correct client collects few of them."""

_counter = cache(metrics.COMMANDS_TOTAL.labels)
_seconds = cache(metrics.COMMAND_SECONDS.labels)
"""Label sets are few and looking one up costs a µs, so each is bound once."""


class AckWriter:
    """Writes acks of one namespace.

    `command_names` are the only names that become labels of metrics: a client must not be able to
    create labels. `on_client_error` is called with the eio_sid of who caused a client error.
    """

    def __init__(
        self,
        namespace: str,
        command_names: Collection[str],
        on_client_error: Callable[[str], None],
    ) -> None:
        self._namespace = namespace
        self._ack = ack_prefix(namespace)
        self._overloaded = _refusal_up_to_its_ms()
        self._command_names = command_names
        self._on_client_error = on_client_error
        self._throttled_log = ThrottledLog(log)

    def write(
        self,
        session: Session,
        frame: Frame,
        answer: Mapping[str, object] | errors.Refusal,
        received_at: float | None = None,
    ) -> None:
        """Write the ack, if the client asked for one, and update the metrics.

        `received_at` is the loop time of the command's arrival; None for a command that was refused
        before it was queued, or that waited on purpose: it is not timed.
        """
        name = self._metric_name(frame)
        code = answer.code if isinstance(answer, errors.Refusal) else "ok"
        _counter(name, code).inc()
        if code in CLIENT_ERRORS:
            self._on_client_error(session.eio_sid)
        if received_at is not None:
            seconds = asyncio.get_running_loop().time() - received_at
            _seconds(name).observe(seconds)
            if log.isEnabledFor(logging.DEBUG):
                context = {"code": code, "ms": round(seconds * 1000, 1)}
                log.debug(name, extra={**context, **log_context(session, frame, answer)})
        if code in SERVER_ERROR_CODES:
            context = log_context(session, frame)
            self._throttled_log.warning(f"{name} is answered {code}", code, **context)
        if frame.ack_id is None:
            return
        body = (
            {"ok": False, "error": answer.as_error()}
            if isinstance(answer, errors.Refusal)
            else {"ok": True, "data": answer}
        )
        session.out.write(ack_packet(self._namespace, frame.ack_id, body))

    def refuse_overloaded(
        self, session: Session, name: str, ack_id: int | str | None, retry_after_ms: int
    ) -> None:
        """Write what `write` writes for `errors.Overloaded`, to a command of a known name.

        What is alike in all of these refusals is made once: that halves what one costs.
        """
        self.count_overloaded(name, 1)
        if self._throttled_log.is_due(subject := f"{name} is answered {errors.Overloaded.code}"):
            self._throttled_log.write(subject, errors.Overloaded.code, **session.log_context)
        if ack_id is not None:
            session.out.write(self.overloaded_ack(retry_after_ms)(ack_id))

    def overloaded_ack(self, retry_after_ms: int) -> Callable[[int | str], Encoded]:
        """Return what makes the ack of such a refusal from an ack id."""
        begin, end = self._ack, f"{self._overloaded}{retry_after_ms}}}}}]"
        return lambda ack_id: Encoded(f"{begin}{ack_id}{end}")

    @staticmethod
    def count_overloaded(name: str, count: int) -> None:
        """Count such refusals of a command of a known name."""
        _counter(name, errors.Overloaded.code).inc(count)

    def _metric_name(self, frame: Frame) -> str:
        data = frame.data
        named = isinstance(data, list) and data and isinstance(data[0], str)
        return data[0] if named and data[0] in self._command_names else "unknown"


def log_context(session: Session, frame: Frame, answer: object = None) -> dict[str, object]:
    """Return the ids for a log line about a command, never anything that users wrote (R10).

    `room_id` and `message_id` are taken from a successful `answer` or else from its payload, which
    is valid then.
    """
    context: dict[str, object] = dict(session.log_context)
    if isinstance(answer, dict):
        payload = frame.data[1] if isinstance(frame.data, list) and len(frame.data) > 1 else {}
        for name in ("room_id", "message_id"):
            value = answer.get(name) or payload.get(name)
            if isinstance(value, str):
                context[name] = value
    return context


def _refusal_up_to_its_ms() -> str:
    """Return the JSON of a refusal in overload; its milliseconds and `}}]` are to follow."""
    error = errors.Overloaded(retry_after_ms=0).as_error()
    return orjson.dumps([{"ok": False, "error": error}]).decode().removesuffix("0}}]")
