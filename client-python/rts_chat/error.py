"""Why something was not done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rts_chat.types import ErrorCode

ChatErrorCode = ErrorCode | Literal["no_answer"]
"""The codes of the server, and `no_answer`: it could not be reached, or the answer was cut off."""


class ChatError(Exception):
    """A refusal of the server, or that no answer came.

    Attributes:
        code: What to branch on.
        retryable: The same may work later. The client has repeated it already where this helps.
        retry_after_ms: Milliseconds after which it may work, if the server said so.
        details: Field names with what is wrong with each.
    """

    def __init__(
        self,
        code: ChatErrorCode,
        message: str,
        *,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.details: Mapping[str, Any] = details or {}


def no_answer(reason: object) -> ChatError:
    """Return the error of a request that may or may not have been carried out."""
    return ChatError("no_answer", str(reason), retryable=True)
