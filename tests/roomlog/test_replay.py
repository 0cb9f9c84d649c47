"""The decisions of a replay, with fakes of the appender and the archive."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from rts_server import errors
from rts_server.domain.room import NewRoom
from rts_server.roomlog import replay
from rts_server.roomlog.intents import edit_intents
from rts_server.roomlog.member_events import member_removed
from rts_server.roomlog.refusals import EpochAdvanced, PartlySuperseded, RoomExists, StaleVersion
from rts_server.roomlog.replay import TargetMissing
from rts_server.roomlog.request import AppendRequest, NewMember, NoOp
from rts_server.roomlog.room_events import room_created, settings_changed
from tests.roomlog.fakes import (
    FakeAppender,
    FakeArchive,
    pending_append,
    replay_with,
    request,
    result,
)

AGAIN = result(2, 1, "2-0")
TEXT, METADATA = edit_intents("m", ("text", "metadata"))


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay repeats at once."""
    monkeypatch.setattr(replay, "REPLAY_RETRY_SECONDS", 0.0)


async def replayed(
    asked: AppendRequest, appender: FakeAppender, removed: tuple[str, ...] = (), **more: Any
) -> Any:
    """What a replay of an append at (1, 7) returns; `on_success` is `stored`."""
    pending = pending_append(asked, 1, 7, "1-0")
    pending.on_success = "stored"
    if removed:
        pending.result.affected["go"] = removed
    return await replay_with(appender, **more).replay(asked, pending)


async def test_a_replay_is_ranked_by_its_first_position_and_checks_no_role() -> None:
    """It was accepted, whatever its actor may do by now (D2)."""
    asked = request("m", roles=frozenset({"owner"}))
    appender = FakeAppender(AGAIN)
    done = await replayed(asked, appender)
    assert done == (appender.appended[0], AGAIN)
    assert (appender.appended[0].roles, appender.appended[0].replay_of) == (None, (1, 7))


async def test_a_replay_is_repeated_while_the_refusal_is_retryable() -> None:
    """Any other refusal is final."""
    appender = FakeAppender(errors.Unavailable(), errors.Unavailable(), AGAIN)
    assert await replayed(request("m"), appender) == (appender.appended[2], AGAIN)
    assert await replayed(request("m"), FakeAppender(errors.Forbidden())) == "failed"


async def test_a_missing_room_and_a_later_epoch_are_left_to_the_caller() -> None:
    """Another instance may have the room; the room's replay begins again (D3)."""
    with pytest.raises(TargetMissing) as missing:
        await replayed(request("m"), FakeAppender(errors.NotFound()))
    assert missing.value.room
    with pytest.raises(EpochAdvanced):
        await replayed(request("m"), FakeAppender(EpochAdvanced(3)))


async def test_a_replay_with_nothing_left_to_append_has_succeeded() -> None:
    """Everything of it was decided later, or is so already."""
    assert await replayed(request("m"), FakeAppender(NoOp(2))) == "stored"


def edit(*rebuilds: AppendRequest | Exception | None) -> tuple[AppendRequest, list[list[str]]]:
    """An edit of two fields, and the intents of each rebuild, which are answered one by one."""
    answers, left = list(rebuilds), []

    async def rebuild(intents: Collection[str]) -> AppendRequest | None:
        left.append(list(intents))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    change = {"message_id": "m"}
    return request("edit", change=change, intents=(TEXT, METADATA), rebuild=rebuild), left


async def test_a_stale_replay_is_rebuilt_with_all_its_intents() -> None:
    """The room moved on, and nobody decided the same again."""
    asked, left = edit(request("rebuilt", intents=(TEXT, METADATA)))
    appender = FakeAppender(StaleVersion(), AGAIN)
    again, _ = await replayed(asked, appender)
    assert left == [[TEXT, METADATA]]
    assert (again.request_id, again.replay_of, again.rebuild) == ("rebuilt", (1, 7), asked.rebuild)


async def test_a_partly_superseded_replay_is_rebuilt_with_the_intents_that_are_left() -> None:
    """Also the next rebuild has only these, or the superseded field would come back (D8)."""
    asked, left = edit(request("one", intents=(METADATA,)), request("two", intents=(METADATA,)))
    appender = FakeAppender(PartlySuperseded(frozenset({TEXT})), StaleVersion(), AGAIN)
    again, _ = await replayed(asked, appender)
    assert left == [[METADATA], [METADATA]]
    assert again.request_id == "two"


async def test_a_replay_that_cannot_be_rebuilt_keeps_its_intents() -> None:
    """Its events still have the superseded field: the script must refuse it once more."""
    asked, left = edit(errors.Unavailable(), ConnectionError(), request("one", intents=(METADATA,)))
    superseded = PartlySuperseded(frozenset({TEXT}))
    appender = FakeAppender(superseded, superseded, superseded, AGAIN)
    await replayed(asked, appender)
    assert left == [[METADATA]] * 3
    assert [one.intents for one in appender.appended[:3]] == [(TEXT, METADATA)] * 3


@pytest.mark.parametrize(
    ("rebuilt", "expected"),
    [(None, "stored"), (errors.Gone(), "failed"), (errors.Forbidden(), "failed")],
)
async def test_a_rebuild_may_find_nothing_to_do_or_a_final_refusal(
    rebuilt: Exception | None, expected: str
) -> None:
    """The message was deleted since, for example."""
    asked, _ = edit(rebuilt)
    assert await replayed(asked, FakeAppender(StaleVersion())) == expected


async def test_a_rebuild_without_its_message_waits_for_the_message_and_not_for_the_room() -> None:
    """Other appends to the room need not wait."""
    asked, _ = edit(errors.NotFound())
    with pytest.raises(TargetMissing) as missing:
        await replayed(asked, FakeAppender(StaleVersion()))
    assert not missing.value.room


async def test_settings_are_replayed_without_the_superseded_one() -> None:
    """They are not built on a state, so nothing has to be read."""
    asked = settings_changed("room", "bob", {"muted": True, "hidden": True})
    appender = FakeAppender(PartlySuperseded(frozenset(asked.intents[:1])), AGAIN)
    again, _ = await replayed(asked, appender)
    assert (again.settings, again.intents) == ({"hidden": True}, asked.intents[1:])


async def test_a_creation_that_meets_its_room_adds_its_members() -> None:
    """The room was queued before the loss, or somebody created it since."""
    members = (NewMember("alice", "owner"), NewMember("bob", "member"))
    room: NewRoom = {"room_id": "room", "type": "group", "name": None, "metadata": {}}
    asked = room_created(room, "alice", members, "create")
    appender = FakeAppender(RoomExists(True), AGAIN)
    again, _ = await replayed(asked, appender)
    assert (again.must_not_exist, again.new_members) == (False, members)
    assert [event.type for event in again.events] == ["member.added"]


async def test_a_member_line_that_is_stored_is_left_out() -> None:
    """The room is loaded before the archive is asked: only then is the queue drained."""
    asked = member_removed("room", "alice", ["bob"])
    line = asked.events[1].message["message_id"]
    archive = FakeArchive((0, False))
    archive.messages = {line}
    appender = FakeAppender(NoOp(2), AGAIN)
    again, _ = await replayed(asked, appender, ("bob",), archive=archive)
    assert appender.appended[0].events == ()
    assert [event.type for event in again.events] == ["member.removed"]


async def test_a_missing_member_line_is_appended_alone_under_the_names_it_had() -> None:
    """Its change was queued before the loss, so nobody is affected any more (D2)."""
    asked = member_removed("room", "alice", ["bob", "eve"])
    appender = FakeAppender(NoOp(2), NoOp(2), AGAIN)
    again, _ = await replayed(asked, appender, ("bob",))
    (line,) = again.events
    assert (line.message["metadata"]["user_ids"], line.op) == (["bob"], None)
    assert again.removals == ()
