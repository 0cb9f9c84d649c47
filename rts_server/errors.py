"""The errors of the protocol: one exception class per code, and its `error` object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from rts_server.types.objects import Error


class Refusal(Exception):
    """A command or request that is refused. It is answered as an error, not logged as a bug.

    The docstring of a subclass is its default message, which clients see. `http` is the status of a
    REST answer; `retryable`: the same command may succeed later.
    """

    code = "internal"
    http = 500
    retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        details: Mapping[str, Any] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        """`message` defaults to the docstring. `details` maps fields to lists of texts."""
        self.message = message or (type(self).__doc__ or self.code)
        self.details = details
        self.retry_after_ms = retry_after_ms
        super().__init__(self.message)

    def as_error(self) -> Error:
        """Return the `error` object of an ack or of a REST answer."""
        error: Error = {
            "code": cast(Any, self.code),  # the schema takes its codes from these classes
            "message": self.message,
            "retryable": self.retryable,
        }
        if self.retry_after_ms is not None:
            error["retry_after_ms"] = self.retry_after_ms
        if self.details:
            error["details"] = dict(self.details)
        return error


class BadRequest(Refusal):
    """The protocol has no such event."""

    code, http = "bad_request", 400


class InvalidParam(Refusal):
    """A field is invalid."""

    code, http = "invalid_param", 400


class NeverStored(InvalidParam):
    """The message could not be stored."""


class Unauthorized(Refusal):
    """The token is missing or invalid."""

    code, http = "unauthorized", 401


class TokenExpired(Refusal):
    """The token has expired."""

    code, http = "token_expired", 401


class Forbidden(Refusal):
    """Your role does not allow this."""

    code, http = "forbidden", 403


class NotFound(Refusal):
    """It does not exist, or you have no access to it."""

    code, http = "not_found", 404


class Conflict(Refusal):
    """The request contradicts the current state."""

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
    """A limit is reached."""

    code, http = "limit_exceeded", 422


class RateLimited(Refusal):
    """Too many requests; wait and retry."""

    code, http, retryable = "rate_limited", 429, True


class Internal(Refusal):
    """The server failed; retry."""

    code, http, retryable = "internal", 500, True


class Unavailable(Refusal):
    """A part of the system is unavailable; retry in a moment."""

    code, http, retryable = "unavailable", 503, True


class Overloaded(Unavailable):
    """The server is overloaded; retry after the given time."""


class Timeout(Refusal):
    """The deadline passed; retry."""

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


MAX_DETAILS, MAX_DETAIL_CHARACTERS = 10, 200
"""Fields in `details`, and characters of each name and text: a payload may have thousands of
errors."""


def details(messages: Any) -> dict[str, list[str]]:
    """Flatten marshmallow's tree of messages to `{field: [text, …]}`; list items are `field.0`.

    Only the first ten fields are returned, with names and texts cut at 200 characters.
    """
    return dict(islice(_flat(messages, ""), MAX_DETAILS))


def _flat(messages: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(messages, dict):
        yield (
            path[:MAX_DETAIL_CHARACTERS],
            [str(text)[:MAX_DETAIL_CHARACTERS] for text in messages[:MAX_DETAILS]],
        )
        return
    for key, value in messages.items():
        yield from _flat(value, f"{path}.{key}" if path else str(key))
