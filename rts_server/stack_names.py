"""Names in AWS that begin with the name of the CloudFormation stack, as in infra/template.yaml.

Several stacks can therefore stand in one account and region.
"""

from __future__ import annotations

FUNCTIONS = ("chat-message-to-db", "chat-room-to-db")
"""The functions as metrics, zips and documents name them: by their name in a stack `chat`."""


def settings(stack: str) -> dict[str, str]:
    """Return the values of the settings that follow from the stack, by their variables."""
    return {
        "RTS_MESSAGE_QUEUE": f"{stack}-message-queue.fifo",
        "RTS_ROOM_QUEUE": f"{stack}-room-queue",
        "RTS_CURSOR_QUEUE": f"{stack}-cursor-queue",
        "RTS_QUARANTINE_QUEUE": f"{stack}-quarantine-queue",
        "RTS_ROOMS_TABLE": f"{stack}-rooms",
        "RTS_MESSAGES_TABLE": f"{stack}-messages",
        "RTS_BUCKET": f"{stack}-files",
        "RTS_EMF_NAMESPACE": f"rts/{stack}",
        "RTS_EMF_LOG_GROUP": f"/rts/{stack}/metrics",
    }


def function(stack: str, name: str) -> str:
    """Return the name of one of FUNCTIONS in a stack."""
    return stack + name.removeprefix("chat")


def log_groups(stack: str) -> tuple[str, ...]:
    """Return the log groups of both functions in a stack."""
    return tuple(f"/aws/lambda/{function(stack, name)}" for name in FUNCTIONS)
