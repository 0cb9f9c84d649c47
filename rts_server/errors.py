"""The catalogue of refusals: one class per code of the protocol, and its face in an ack."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any


class Refusal(Exception):
    """A command was refused. Raised by handlers, answered by the base namespace."""

    code = "internal"
    http = 500
    retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        """`message` defaults to the docstring; `details` names fields; the delay is in ms."""
        self.message = message or (type(self).__doc__ or self.code)
        self.details = details
        self.retry_after_ms = retry_after_ms
        super().__init__(self.message)

    def as_error(self) -> dict[str, Any]:
        """The `error` object of an ack or of a REST answer."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }
        if self.retry_after_ms is not None:
            error["retry_after_ms"] = self.retry_after_ms
        if self.details:
            error["details"] = self.details
        return error


class BadRequest(Refusal):
    """The event is not one that the protocol knows."""

    code, http = "bad_request", 400


class InvalidParam(Refusal):
    """A field is wrong."""

    code, http = "invalid_param", 400


class NeverStored(InvalidParam):
    """The message could not be stored."""


class Unauthorized(Refusal):
    """The token is missing or not valid."""

    code, http = "unauthorized", 401


class TokenExpired(Refusal):
    """The token has expired."""

    code, http = "token_expired", 401


class Forbidden(Refusal):
    """Your role does not allow this."""

    code, http = "forbidden", 403


class NotFound(Refusal):
    """There is no such thing, or it is not yours."""

    code, http = "not_found", 404


class Conflict(Refusal):
    """This contradicts what is already there."""

    code, http = "conflict", 409


class Gone(Refusal):
    """The message was deleted."""

    code, http = "gone", 410


class MessageTooLarge(Refusal):
    """The text or metadata is too large."""

    code, http = "message_too_large", 413


class UnsupportedType(Refusal):
    """This type of content is not supported."""

    code, http = "unsupported_type", 415


class LimitExceeded(Refusal):
    """A limit of the model is reached."""

    code, http = "limit_exceeded", 422


class RateLimited(Refusal):
    """Too fast; wait and repeat."""

    code, http, retryable = "rate_limited", 429, True


class Internal(Refusal):
    """Something went wrong here; repeat."""

    code, http, retryable = "internal", 500, True


class Unavailable(Refusal):
    """A part of the system is away; repeat in a moment."""

    code, http, retryable = "unavailable", 503, True


class Timeout(Refusal):
    """The deadline passed; repeat."""

    code, http, retryable = "timeout", 504, True


CATALOGUE: dict[str, type[Refusal]] = {
    kind.code: kind
    for kind in (
        BadRequest,
        InvalidParam,
        Unauthorized,
        TokenExpired,
        Forbidden,
        NotFound,
        Conflict,
        Gone,
        MessageTooLarge,
        UnsupportedType,
        LimitExceeded,
        RateLimited,
        Internal,
        Unavailable,
        Timeout,
    )
}


MOST_DETAILS, LONGEST_DETAIL = 10, 200
"""Fields that are told of, and characters of a name or a text: a stranger may err in thousands."""


def details(messages: Any) -> dict[str, list[str]]:
    """Marshmallow's tree of messages as `{field: [text, …]}`; a place in a list is `field.0`.

    The first ten, each name and text cut at 200 characters.
    """
    return dict(islice(_flat(messages, ""), MOST_DETAILS))


def _flat(messages: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(messages, dict):
        yield (
            path[:LONGEST_DETAIL],
            [str(text)[:LONGEST_DETAIL] for text in messages[:MOST_DETAILS]],
        )
        return
    for key, value in messages.items():
        yield from _flat(value, f"{path}.{key}" if path else str(key))
