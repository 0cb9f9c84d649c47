"""Exceptions of an append: refusals of the protocol, and those that the room log handles itself."""

from __future__ import annotations

from collections.abc import Callable

from rts_server import errors


class NotAMember(errors.NotFound):
    """A user named by the request is not a member."""


class RoomExists(Exception):
    """The room to be created exists; `is_member`: whether the actor is in it."""

    def __init__(self, is_member: bool) -> None:
        super().__init__("the room exists")
        self.is_member = is_member


class StaleVersion(Exception):
    """The message or the room changed since it was read: read it again."""


class PartlySuperseded(Exception):
    """Some intents of a replay were decided by later acknowledged commands; nothing was appended.

    `intents`: those, of `AppendRequest.intents`.
    """

    def __init__(self, intents: frozenset[str]) -> None:
        super().__init__("some intents of a replay are superseded")
        self.intents = intents


class EpochAdvanced(Exception):
    """The room is in a later epoch than allowed: earlier appends of this instance may be lost."""

    def __init__(self, epoch: int) -> None:
        super().__init__("the room is in a later epoch")
        self.epoch = epoch


# Functions, not instances: an exception that is raised twice keeps the frames of both.
_REFUSALS: dict[str, Callable[[], errors.Refusal]] = {
    "conflict": lambda: errors.Conflict("This id was used for another body."),
    "not_found": errors.NotFound,
    "forbidden": errors.Forbidden,
    "frozen": lambda: errors.Forbidden("The room is frozen."),
    "direct": lambda: errors.Conflict("A direct room keeps its two members."),
    "no_member": NotAMember,
    "last_owner": lambda: errors.Conflict("A group keeps at least one owner."),
    "limit": lambda: errors.LimitExceeded("The room has the greatest number of members allowed."),
    "full": lambda: errors.Unavailable(
        "The queue is behind; try again in a moment.", retry_after_ms=1000
    ),
    "broken": errors.Unavailable,
}


def refusal(outcome: str) -> errors.Refusal:
    """A new exception for an outcome of append.lua that refuses the request."""
    return _REFUSALS[outcome]()
