"""The ack of a command: its body, its metrics and its log line."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from rts_server import errors
from rts_server.namespaces.ack_writer import AckWriter, log_context
from tests.helpers.sessions import queued, session


def count(command: str, code: str) -> float:
    """The number of acks with this code."""
    labels = {"event": command, "code": code}
    return REGISTRY.get_sample_value("rts_commands_total", labels) or 0.0


async def test_an_ack_has_data_or_an_error() -> None:
    """The two shapes of the protocol."""
    one, packets = session()
    writer = AckWriter("/chat", {"unread.get"}, lambda eio_sid: None)
    now = asyncio.get_running_loop().time()
    writer.write(one, queued(0).frame, {"unread": 1}, now)
    writer.write(one, queued(1).frame, errors.NotFound(), now)
    assert packets.acks[0] == {"ok": True, "data": {"unread": 1}}
    assert packets.acks[1]["ok"] is False
    assert packets.acks[1]["error"]["code"] == "not_found"


async def test_only_errors_of_the_client_count_against_it() -> None:
    """Failures of the server are not the fault of the client."""
    one, packets = session()
    blamed: list[str] = []
    writer = AckWriter("/chat", {"unread.get"}, blamed.append)
    for number, refusal in enumerate((errors.Unavailable(), errors.Timeout(), errors.NotFound())):
        writer.write(one, queued(number).frame, refusal)
    assert len(packets.acks) == 3
    assert blamed == []
    writer.write(one, queued(3).frame, errors.InvalidParam())
    assert blamed == ["eio"]


async def test_a_refusal_in_overload_is_the_ack_that_it_stands_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its text is made beforehand; it counts, and has one line of the log for all."""
    one, packets = session()
    writer = AckWriter("/chat", {"unread.get"}, lambda eio_sid: None)
    before = count("unread.get", "unavailable")
    writer.write(one, queued(0).frame, errors.Overloaded(retry_after_ms=1234))
    for number in (1, 2):
        writer.refuse_overloaded(one, "unread.get", number, 1234)
    assert packets.acks[1] == packets.acks[2] == packets.acks[0]
    assert count("unread.get", "unavailable") == before + 3
    assert [line.message for line in caplog.records] == ["unread.get is answered unavailable"]
    writer.refuse_overloaded(one, "unread.get", None, 1234)
    assert len(packets.acks) == 3
    assert count("unread.get", "unavailable") == before + 4


async def test_unknown_commands_share_one_label() -> None:
    """A client must not be able to create labels (R1)."""
    one, _ = session()
    writer = AckWriter("/chat", {"unread.get"}, lambda eio_sid: None)
    before = count("unknown", "bad_request")
    writer.write(one, queued(0, '["invented.name",{}]').frame, errors.BadRequest())
    writer.write(one, queued(1, '["another",{}]').frame, errors.BadRequest())
    assert count("unknown", "bad_request") == before + 2
    assert count("invented.name", "bad_request") == 0


async def test_a_log_line_names_ids_only() -> None:
    """Never the text of a message (R10)."""
    one, _ = session()
    frame = queued(0, '["message.send",{"room_id":"r","text":"secret"}]').frame
    context = log_context(one, frame, {"message_id": "m", "status": "queued"})
    assert context == {
        "session_id": "session",
        "user_id": "alice",
        "room_id": "r",
        "message_id": "m",
    }
    assert log_context(one, frame) == {"session_id": "session", "user_id": "alice"}
