"""In overload writes are refused at once, and everything else is served."""

from __future__ import annotations

from tests.helpers.waiting import eventually
from tests.namespaces.line import Line, line

ADD = '["member.add",{"room_id":"r","user_ids":["bob"]}]'
SYNC = '["sync",{"cursors":{}}]'


def overload(one: Line) -> None:
    """Admit nothing."""
    one._connections.admission.limit = 0


async def test_a_write_is_refused_as_unavailable_with_a_time_to_come_back() -> None:
    """It is refused before it is queued, so its ack is there in the same turn of the loop."""
    async with line(rate_limits="relaxed") as one:
        overload(one)
        one.ask(ADD)
        error = one.acks[0]["error"]
        assert error["code"] == "unavailable"
        assert error["retryable"]
        assert error["retry_after_ms"] >= 500
        assert one.session.unanswered == 0
        assert one.began == []


async def test_reads_and_mistakes_are_answered_as_always() -> None:
    """What a client needs to show what it has is served; a bad frame gets its own error."""
    async with line(rate_limits="relaxed") as one:
        overload(one)
        one.ask(SYNC, "[5]", "[", '["no.such",{}]')
        assert await one.answered(4) == ["ok", "bad_request", "bad_request", "bad_request"]


async def test_a_client_above_its_rate_is_told_so() -> None:
    """Refusals for overload are charged as commands: a flood counts as errors of its client."""
    async with line(rates="commands=0.001/2") as one:
        overload(one)
        one.ask(ADD, ADD, ADD)
        assert await one.answered(3) == ["unavailable", "unavailable", "rate_limited"]


async def test_a_command_is_in_progress_until_it_ends() -> None:
    """Past its deadline, too, it makes room for another one."""
    async with line(rate_limits="relaxed", command_deadline=0.3) as one:
        admission = one._connections.admission
        one.adds_return.clear()
        one.ask(ADD)
        await eventually(lambda: admission.in_progress == 1)
        assert await one.answered(1) == ["timeout"]
        assert admission.in_progress == 0


async def test_commands_behind_one_that_waits_are_refused_with_it() -> None:
    """Each has the time to be admitted from its arrival on, not from its turn."""
    async with line(rate_limits="relaxed", command_deadline=5.0) as one:
        admission = one._connections.admission
        admission.in_progress = busy = 1_000_000
        one.ask(*[ADD] * 120)
        assert await one.answered(120) == ["unavailable"] * 120
        assert one.began == []
        assert admission.in_progress == busy
