"""What both clients have in common: a request made of a route, and the answer read from one."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from rts_chat.arguments import check_key, check_segment
from rts_chat.error import ChatError, no_answer
from rts_chat.omitted import OMITTED
from rts_chat.route import Route

ATTEMPTS = 6
LINES_TYPE = "application/x-ndjson"
TIMEOUT = httpx2.Timeout(10.0, read=60.0)
"""Seconds for each step of a request. Most take milliseconds, but `room.verify` reads rooms."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, the same however often it is sent."""

    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    content: bytes | None


def exchange_of(route: Route, params: Mapping[str, Any]) -> Exchange:
    """Put each parameter where its route has it: path, query, header or body.

    A message without a key gets one here, or a repetition would be a second message. Raises
    TypeError or ValueError, by its name, for a part of the path that is missing.
    """
    left = {
        name: value
        for name, value in params.items()
        if value is not OMITTED and (value is not None or name in route.nullable)
    }
    headers = {}
    if route.keyed:
        key = left.pop("idempotency_key", None)
        headers["idempotency-key"] = secrets.token_hex(16) if key is None else check_key(key)
    path = route.path
    for name in params:
        if f"{{{name}}}" in route.path:
            segment = check_segment(name, left.pop(name, None))
            path = path.replace(f"{{{name}}}", quote(segment, safe=""))
    query = {name: left.pop(name) for name in route.query if name in left}
    content = json.dumps(left).encode() if left else None
    if content is not None:
        headers["content-type"] = "application/json"
    return Exchange(route.method, path, query, headers, content)


def data_of(status: int, body: bytes) -> Any:
    """Return `data` of an answer.

    Raises ChatError: a refusal, or `no_answer` for what is not the server's, as a proxy's page.
    """
    try:
        answer = json.loads(body)
        ok, data, error = answer["ok"], answer.get("data"), answer.get("error")
        refusal = None if ok else _refusal(error)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise no_answer(f"HTTP {status}: {body[:200].decode(errors='replace')}") from None
    if refusal is not None:
        raise refusal
    return data


def line_of(text: str) -> dict[str, Any] | None:
    """Return one line of a streamed answer; None for the last one, which says that it is whole."""
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        raise no_answer("The answer was cut off.") from None
    return None if line["kind"] == "end" else line


def pause_after(error: ChatError, attempt: int) -> float:
    """Return the seconds before the next attempt; raise the error if there should be none."""
    if not error.retryable or attempt >= ATTEMPTS:
        raise error
    if error.retry_after_ms is not None:
        return error.retry_after_ms / 1000
    full = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt)
    return full / 2 + random.random() * full / 2


def _refusal(error: Mapping[str, Any]) -> ChatError:
    return ChatError(
        error["code"],
        error["message"],
        retryable=error["retryable"],
        retry_after_ms=error.get("retry_after_ms"),
        details=error.get("details"),
    )
