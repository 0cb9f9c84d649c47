"""Acks that wait for the durability of an append."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rts_server import errors
from rts_server.namespaces.answer import PendingAnswer
from rts_server.namespaces.command_deadline import CommandDeadline
from rts_server.namespaces.durable_acks import DurableAcks
from rts_server.namespaces.session import QueuedCommand, Session
from rts_server.roomlog.pending import Durability
from tests.helpers.sessions import queued, session
from tests.helpers.waiting import eventually

Sent = list[Mapping[str, object] | errors.Refusal]


def durable_acks(sent: Sent, wait: float, deadline: float = 60.0) -> DurableAcks:
    """Acks that are collected."""

    def send(
        session: Session, command: QueuedCommand, answer: Mapping[str, object] | errors.Refusal
    ) -> None:
        sent.append(answer)

    return DurableAcks(wait, CommandDeadline(deadline, deadline), send)


def pending() -> asyncio.Future[Durability]:
    """A durability that is not known yet."""
    return asyncio.get_running_loop().create_future()


async def test_the_ack_waits_for_the_durability() -> None:
    """`queued` is said when it is true (D1); the position is read then."""
    sent: Sent = []
    durability, at = pending(), {"seq": 1}
    answer = PendingAnswer({"id": "m"}, durability, position=lambda: dict(at))
    durable_acks(sent, 60).send_when_durable(session()[0], queued(), answer)
    await asyncio.sleep(0)
    assert sent == []
    at["seq"] = 2
    durability.set_result("queued")
    await eventually(lambda: bool(sent))
    assert sent == [{"id": "m", "seq": 2, "status": "queued"}]


async def test_a_durability_that_is_known_is_sent_at_once() -> None:
    """In the same turn, without a timer."""
    sent: Sent = []
    durability = pending()
    durability.set_result("stored")
    acks = durable_acks(sent, 60)
    acks.send_when_durable(session()[0], queued(), PendingAnswer({}, durability))
    assert sent == [{"status": "stored"}]


async def test_after_the_wait_the_ack_says_accepted_and_the_durability_follows_once() -> None:
    """There is one ack (D10); `on_late` gets the durability."""
    sent: Sent = []
    late: list[str] = []

    async def on_late(durability: str) -> None:
        late.append(durability)

    durability = pending()
    acks = durable_acks(sent, 0.01)
    acks.send_when_durable(session()[0], queued(), PendingAnswer({}, durability, on_late))
    await eventually(lambda: sent == [{"status": "accepted"}])
    durability.set_result("queued")
    await eventually(lambda: late == ["queued"])
    assert len(sent) == 1
    await acks.close()


async def test_the_deadline_of_the_command_ends_the_wait() -> None:
    """A command that waited long for its turn has less time left to wait for durability."""
    sent: Sent = []
    acks = durable_acks(sent, wait=60, deadline=60)
    acks.send_when_durable(session()[0], queued(age=59), PendingAnswer({}, pending()))
    await eventually(lambda: sent == [{"status": "accepted"}])


async def test_a_failed_append_is_answered_with_its_error() -> None:
    """Each time by a new exception: a shared one collects tracebacks."""
    sent: Sent = []
    for _ in range(2):
        durability = pending()
        durability.set_result("failed")
        answer = PendingAnswer({}, durability, failed=errors.NeverStored)
        durable_acks(sent, 60).send_when_durable(session()[0], queued(), answer)
    first, second = sent
    assert isinstance(first, errors.NeverStored)
    assert isinstance(second, errors.NeverStored)
    assert first is not second
