"""The parts of a message before it is sent; `rts_server/types/objects.py` has messages."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class MessageDraft(TypedDict):
    """A message as its sender gives it, its files aside.

    Payloads of `message.send` and operators' requests fit it.
    """

    client_msg_id: str
    text: str
    mentions: NotRequired[list[str]]
    reply_to: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


class MessageChange(TypedDict, total=False):
    """The fields of a message that an edit sets."""

    text: str
    mentions: list[str]
    metadata: dict[str, Any]


def message_change(payload: MessageChange) -> MessageChange:
    """The fields that an edit changes, without the ids and the expected version."""
    change: MessageChange = {}
    if "text" in payload:
        change["text"] = payload["text"]
    if "mentions" in payload:
        change["mentions"] = payload["mentions"]
    if "metadata" in payload:
        change["metadata"] = payload["metadata"]
    return change
