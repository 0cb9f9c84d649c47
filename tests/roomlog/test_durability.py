"""The tracker's decisions, with fakes of Redis, archive and replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rts_server import errors
from rts_server.config import Settings
from rts_server.roomlog import durability
from rts_server.roomlog.late_appends import APPEND_MEMORY_BYTES
from rts_server.roomlog.pending import PendingAppend
from rts_server.roomlog.refusals import EpochAdvanced
from rts_server.roomlog.replay import TargetMissing
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.room_events import settings_changed
from tests.helpers.waiting import Changes
from tests.roomlog.fakes import FakeArchive, request, result, tracker_with


def in_epoch(epoch: int) -> Callable[[AppendRequest, int], Any]:
    """A replay that appends in this epoch; its entry is named after the request."""

    def replay(asked: AppendRequest, max_epoch: int) -> Any:
        return asked, result(epoch, 1, f"entry of {asked.request_id}")

    return replay


def requests_of(pendings: list[PendingAppend]) -> list[str]:
    """Their request ids."""
    return [one.request.request_id for one in pendings]


async def test_an_append_is_queued_once_all_its_entries_are() -> None:
    """Notices of other rooms, other requests and other entries do not count."""
    tracker, *_ = tracker_with()
    pending = tracker.track(request("m"), result(1, 1, "1-0", "1-1"))
    tracker.mark_queued([("room", "m", "1-0"), ("room", "n", "1-1"), ("other", "m", "1-1")])
    assert not pending.durability.done()
    tracker.mark_queued([("room", "m", "1-1")])
    assert pending.durability.result() == "queued"
    await tracker.close()


async def test_a_notice_that_came_before_its_append_was_tracked_counts() -> None:
    """The relay may be faster than the reply of the script."""
    tracker, *_ = tracker_with()
    tracker.mark_queued([("room", "m", "1-0")])
    assert tracker.track(request("m"), result(1, 1, "1-0")).durability.result() == "queued"
    await tracker.close()


async def test_a_repeated_request_shares_the_durability_of_the_first() -> None:
    """Until that is known; then the script says how durable it is."""
    tracker, *_ = tracker_with()
    first = tracker.track(request("m"), result(1, 1, "1-0"))
    assert tracker.track(request("m"), result(1, 1, "1-0")) is first
    tracker.mark_queued([("room", "m", "1-0")])
    await tracker.wait_until_none_pending()
    assert tracker.track(request("m"), result(1, 1, "1-0")) is not first
    await tracker.close()


async def test_appends_are_refused_while_late_ones_hold_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory stays bounded while the queue is away (Q5); what is about to be queued is not late."""
    monkeypatch.setattr(durability, "POLL_TICK_SECONDS", 0.0)
    tracker, recorded, *_ = tracker_with(pending_bytes=2 * APPEND_MEMORY_BYTES)
    recorded.known = dict.fromkeys(("a", "b", "c"), "pending")
    pendings = [tracker.track(request(name), result(1, 1, name)) for name in recorded.known]
    pendings[0].busy = True  # it is queued, and waits to be stored
    tracker.poll_soon()
    pendings[2].next_poll += 60.0
    await tracker._poll()
    with pytest.raises(errors.Unavailable):
        tracker.check_capacity()
    for name in recorded.known:
        tracker.mark_queued([("room", name, name)])
        tracker.check_capacity()
    assert tracker._late.held_bytes == 0
    await tracker.close()


async def test_lost_appends_of_a_room_are_replayed_in_their_first_order_and_no_others() -> None:
    """Those that Redis still has are left where they are (D3)."""
    tracker, recorded, replays, _ = tracker_with(in_epoch(2))
    recorded.known = {"kept": "pending", "queued": "queued"}
    for offset, name in ((3, "third"), (1, "first"), (2, "kept"), (4, "queued")):
        tracker.track(request(name), result(1, offset, f"1-{offset}"))
    tracker.track(request("other", "other"), result(1, 1, "1-9"))
    await tracker.replay_lost("room", 2)
    assert replays.replayed == ["first", "third"]
    assert tracker.verified_epoch("room") == 2
    tracker.mark_queued([("room", "first", "entry of first"), ("room", "third", "1-3")])
    assert requests_of(tracker._by_room.of("room")) == ["kept", "third"]
    await tracker.close()


async def test_a_loss_during_a_replay_starts_the_replay_again_from_the_first() -> None:
    """A later append must not stand in front of one that was lost twice (D3)."""
    epochs = iter([2, 3, 3, 3])

    def replay(asked: AppendRequest, max_epoch: int) -> Any:
        epoch = next(epochs)
        if max_epoch and epoch > max_epoch:
            return EpochAdvanced(epoch)
        return asked, result(epoch, 1, "again")

    tracker, _, replays, _ = tracker_with(replay)
    for offset, name in ((1, "first"), (2, "second")):
        tracker.track(request(name), result(1, offset, f"1-{offset}"))
    await tracker.replay_lost("room", 3)
    assert replays.replayed == ["first", "second", "first", "second"]
    assert [one.result.epoch for one in tracker._by_room.of("room")] == [3, 3]
    await tracker.close()


async def test_an_append_whose_message_is_missing_does_not_delay_others() -> None:
    """If the room itself is missing, the other appends of the room wait as well."""
    missing = {"edit": TargetMissing(room=False)}

    def replay(asked: AppendRequest, max_epoch: int) -> Any:
        return missing.get(asked.request_id) or (asked, result(2, 1, "again"))

    tracker, _, replays, _ = tracker_with(replay)
    for offset, name in ((1, "edit"), (2, "send")):
        tracker.track(request(name), result(1, offset, f"1-{offset}"))
    await tracker.replay_lost("room", 2)
    assert replays.replayed == ["edit", "send"]
    missing["edit"] = TargetMissing(room=True)
    await tracker.replay_lost("room", 2)
    assert replays.replayed == ["edit", "send", "edit"]
    assert requests_of(tracker._by_room.of("room")) == ["edit", "send"]
    await tracker.close()


async def test_an_append_whose_message_never_comes_back_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for another instance to replay the message, but not for ever."""
    monkeypatch.setattr(durability, "TARGET_WAIT_SECONDS", 0.0)
    tracker, *_ = tracker_with(lambda asked, max_epoch: TargetMissing(room=True))
    pending = tracker.track(request("edit"), result(1, 1, "1-0"))
    await tracker.replay_lost("room", 2)
    assert pending.durability.result() == "failed"
    await tracker.close()


async def test_a_poll_decides_by_what_redis_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pending` is asked for again; a lost append is replayed."""
    monkeypatch.setattr(durability, "POLL_DELAYS", (0.0,))
    monkeypatch.setattr(durability, "POLL_TICK_SECONDS", 0.0)
    tracker, recorded, replays, _ = tracker_with(lambda asked, max_epoch: "stored")
    recorded.known = {"waits": "pending", "poison": "failed", "sent": "queued"}
    tracked = {
        name: tracker.track(request(name), result(1, offset, f"1-{offset}"))
        for offset, name in enumerate(("waits", "poison", "sent", "gone"))
    }
    tracker.start()
    ended = [tracked[name].durability for name in ("poison", "sent", "gone")]
    assert await asyncio.gather(*ended) == ["failed", "queued", "stored"]
    assert not tracked["waits"].durability.done()
    assert replays.replayed == ["gone"]
    await tracker.close()


async def test_members_of_a_replay_are_indexed_before_its_durability_is_known() -> None:
    """The ack must not come before the user's index has the room (D9)."""
    tracker, _, _, index = tracker_with(in_epoch(2))
    pending = tracker.track(request("go", removals=("bob",)), result(1, 1, "1-0"))
    tracker.track(request("m"), result(1, 2, "1-1"))
    await tracker.replay_lost("room", 2)
    assert index.written == ["go"]
    assert not pending.durability.done()
    await tracker.close()


SETTINGS = settings_changed("room", "bob", {"muted": True})


@pytest.mark.parametrize(
    ("looks", "replayed"), [([(1, False), (1, True)], 0), ([(2, False), (2, True)], 1)]
)
async def test_a_change_is_stored_once_the_archive_shows_it(
    monkeypatch: pytest.MonkeyPatch, looks: list[tuple[int, bool]], replayed: int
) -> None:
    """In a later epoch a Lambda may have refused it: it is replayed under a new id (A2)."""
    monkeypatch.setattr(durability, "STORED_DELAYS", (0.0,))

    def replay(asked: AppendRequest, max_epoch: int) -> Any:
        return asked, done(2)

    def done(epoch: int) -> Any:
        return result(epoch, 1, settings_rev=1)

    tracker, _, replays, index = tracker_with(replay, FakeArchive(*looks))
    pending = tracker.track(SETTINGS, done(1))
    assert await pending.durability == "stored"
    assert len(replays.replayed) == replayed
    assert SETTINGS.request_id not in replays.replayed
    assert index.written[-1] == pending.request.request_id
    await tracker.close()


async def test_a_change_that_the_archive_never_shows_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its record was quarantined, or is lost."""
    monkeypatch.setattr(durability, "STORED_DELAYS", (0.0,))
    monkeypatch.setattr(durability, "STORED_TIMEOUT_SECONDS", 0.01)
    tracker, *_ = tracker_with(archive=FakeArchive((1, False)))
    pending = tracker.track(SETTINGS, result(1, 1, settings_rev=1))
    assert await pending.durability == "failed"
    await tracker.close()


def test_polls_come_less_and_less_often() -> None:
    """A lost notice is noticed before an ack says `accepted`; later polls are rarer."""
    assert durability.POLL_DELAYS[0] + durability.POLL_TICK_SECONDS < Settings().durable_wait
    assert durability.POLL_DELAYS[0] >= 1.0  # a slow queue is not late
    assert list(durability.POLL_DELAYS) == sorted(durability.POLL_DELAYS)


async def test_an_append_whose_notice_comes_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the queue is slow: looks that find nothing late cost Redis nothing."""
    monkeypatch.setattr(durability, "POLL_TICK_SECONDS", 0.0)
    tracker, recorded, *_ = tracker_with()
    looks = Changes()
    asked: list[list[PendingAppend]] = []

    async def read(pendings: list[PendingAppend]) -> list[Any]:
        asked.append(pendings)
        looks.notify()
        return ["pending"] * len(pendings)

    monkeypatch.setattr(recorded, "read_late", read)
    tracker.start()
    pending = tracker.track(request("m"), result(1, 1, "1-0"))
    await looks.until(lambda: len(asked) == 5)
    tracker.mark_queued([("room", "m", "1-0")])
    assert await pending.durability == "queued"
    assert not any(asked)
    await tracker.close()


async def test_after_a_break_of_the_link_every_append_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their notices may have been published meanwhile."""
    monkeypatch.setattr(durability, "POLL_TICK_SECONDS", 0.0)
    tracker, recorded, *_ = tracker_with()
    recorded.known = {"m": "queued"}
    tracker.start()
    pending = tracker.track(request("m"), result(1, 1, "1-0"))
    tracker.poll_soon()
    assert await pending.durability == "queued"
    await tracker.close()
