"""In overload writes are refused at once, and everything else is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from rts_server.engine import frames
from rts_server.namespaces.overload_refusals import PAUSE_SECONDS
from rts_server.runtime.admission import (
    BUSY_DELAY_SECONDS,
    BUSY_SESSIONS,
    MAX_WAIT_SECONDS,
    WINDOW_SECONDS,
)
from tests.helpers.waiting import PATIENCE, eventually
from tests.namespaces.line import Line, line

ADD = '["member.add",{"room_id":"r","user_ids":["bob"]}]'
SYNC = '["sync",{"cursors":{}}]'


def overload(one: Line) -> None:
    """Admit nothing."""
    one._connections.admission.limit = 0


def deferrals(one: Line, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[str], bool]]:
    """Return a list of what is to refuse the texts behind each refusal."""
    behind: list[Callable[[str], bool]] = []

    def defer(eio_sid: str, seconds: float, refuse: Callable[[str], bool]) -> None:
        assert (eio_sid, seconds) == ("eio", PAUSE_SECONDS)
        behind.append(refuse)

    monkeypatch.setattr(one._server, "defer_reading", defer)
    return behind


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


async def test_what_a_connection_sent_behind_a_refused_write_is_refused_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not parsed; anything but a write that can be answered is handled as always."""
    async with line(rate_limits="relaxed") as one:
        behind = deferrals(one, monkeypatch)
        one.ask(SYNC, ADD)
        assert await one.answered(2) == ["ok", "ok"]
        assert behind == []
        overload(one)
        one.ask(SYNC, ADD)
        assert await one.answered(4) == ["ok", "ok", "ok", "unavailable"]
        (refuse,) = behind
        assert refuse(f"42/chat,4{ADD}")
        assert refuse(f"42/chat,5{ADD[:-1]}")
        assert await one.answered(6) == ["ok", "ok", "ok"] + ["unavailable"] * 3
        others = (
            f"42/chat,6{SYNC}",
            f"42/chat,{2**31}{ADD}",
            f"42/receipts,6{ADD}",
            f"42/chat,{ADD}",
        )
        assert not any(map(refuse, [*others, "3", "41/chat", '42/chat,6["member.addx",{}]']))
        one.session.closed = True
        assert not refuse(f"42/chat,6{ADD}")
        assert len(one.acks) == 6
        await eventually(lambda: one._connections.admission._refused == 3)


async def test_what_is_refused_by_its_beginning_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above its rate it is handled as always, and refused as such."""
    async with line(rates="commands=0.001/2") as one:
        behind = deferrals(one, monkeypatch)
        overload(one)
        one.ask(ADD)
        (refuse,) = behind
        assert [refuse(f"42/chat,{number}{ADD}") for number in (1, 2)] == [True, False]


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


async def test_few_sessions_that_send_much_are_refused_below_the_limit() -> None:
    """Each executes one command at a time and reaches no limit: what comes while others of its
    session wait too long is refused at once, if the delay shows that all are busy. What comes at
    once is not: none of it has waited."""
    async with line(rate_limits="relaxed", command_deadline=PATIENCE) as one:
        one.adds_return.clear()
        delayed(one, BUSY_DELAY_SECONDS)
        one.ask(*[ADD] * 60)
        await eventually(lambda: one.began == ["r"])
        assert one.acks == {}
        assert one.session.queue is not None
        one.session.queue[0].received_at -= MAX_WAIT_SECONDS
        delayed(one, BUSY_DELAY_SECONDS)
        one.receive("sid", frames.parse(f"2/chat,60{ADD}"))
        assert one.acks[60]["error"]["code"] == "unavailable"
        one.adds_return.set()
        assert await one.answered(61) == ["ok"] * 60 + ["unavailable"]


async def test_many_sessions_that_keep_commands_waiting_are_refused_whatever_the_delay() -> None:
    """One command of each is executed at a time, so that their queues grow to the deadline while
    each append is fast; what fewer sessions send is executed in its turn."""
    async with line(rate_limits="relaxed", command_deadline=PATIENCE) as one:
        one.adds_return.clear()
        sids = [f"s{n}" for n in range(2 * BUSY_SESSIONS)]
        for number, sid in enumerate(sids):
            one._sessions[sid] = made = replace(one.session, sid=sid, queue=None, worker=None)
            for at in range(2):
                one.receive(sid, frames.parse(f"2/chat,{10 * number + at}{ADD}"))
            assert made.queue is not None
            made.queue[-1].received_at -= 2 * MAX_WAIT_SECONDS
        await eventually(lambda: len(one.began) == len(sids))
        for number, sid in enumerate(sids):
            one.receive(sid, frames.parse(f"2/chat,{10 * number + 2}{ADD}"))
        refused = {number: ack["error"]["code"] for number, ack in one.acks.items()}
        late = range(BUSY_SESSIONS - 1, len(sids))
        assert refused == {10 * number + 2: "unavailable" for number in late}
        one.adds_return.set()
        await eventually(lambda: len(one.acks) == 3 * len(sids))
        assert sum(ack["ok"] for ack in one.acks.values()) == len(one.began)


@pytest.mark.parametrize(("paced", "code"), [(True, None), (False, "unavailable")])
async def test_commands_that_wait_for_their_rate_are_no_overload(
    paced: bool, code: str | None
) -> None:
    """A client that sends more at once than its rate is served in its time."""
    async with line(rate_limits="relaxed", command_deadline=PATIENCE) as one:
        one.adds_return.clear()
        one.ask(ADD, ADD)
        await eventually(lambda: one.began == ["r"])
        assert one.session.queue is not None
        one.session.queue[0].received_at -= 2 * MAX_WAIT_SECONDS
        one.session.paced_until = asyncio.get_running_loop().time() if paced else 0.0
        delayed(one, BUSY_DELAY_SECONDS)
        one.receive("sid", frames.parse(f"2/chat,2{ADD}"))
        assert one.acks.get(2, {}).get("error", {}).get("code") == code
        one.adds_return.set()
        assert await one.answered(3) == ["ok", "ok", code or "ok"]


def delayed(one: Line, seconds: float) -> None:
    """Let a window pass in which commands met this delay."""
    after = asyncio.get_running_loop().time() + WINDOW_SECONDS
    one._connections.admission.observe_append(seconds, after)
