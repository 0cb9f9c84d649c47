"""`python -m tests.faulty <fault> serve|relay`: the real process with one function replaced.

Each fault either breaks the world (publishes get lost) or takes one protection away, so that a test
can show it was the protection that held.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from rts_server import processes
from rts_server.__main__ import main
from rts_server.drain import Drain
from rts_server.persistence import user_rooms
from rts_server.persistence.archive import Archive
from rts_server.persistence.outbox import Entry
from rts_server.persistence.revocations import Revocations
from rts_server.persistence.scripts import Script
from rts_server.realtime import room_feed as room
from rts_server.realtime import sequence
from rts_server.relay.ack_processor import AckProcessor
from rts_server.roomlog import durability, rehydrate, script, trims
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.pending import PendingAppend
from rts_server.roomlog.request import AppendRequest, AppendResult
from rts_server.views import snapshots
from rts_server.views.history import History
from tests.helpers.scripts import changed_script

PUBLISH = "redis.call(PUBLISH, req.channel, epoch"
LOSE = "redis.call(PUBLISH, offset % 10 == 7 and req.channel .. ':lost' or req.channel, epoch"
FENCE = "if not (head and is_written_here(head.fence, now)) then return 'cold' end"
ONLY_A_HEAD = "if not head then return 'cold' end"
SHAPE = "if shape_of(sizes) == head.shape then"


def rewrite(script: Script, old: str, new: str) -> None:
    """Replace a part of a script that is loaded already."""
    vars(script).update(vars(changed_script(script, old, new)))


def everywhere(old: str, new: str) -> None:
    """Rewrite every script that starts with the fence."""
    for module in (script, rehydrate, durability, snapshots):
        for value in vars(module).values():
            if isinstance(value, Script) and old in value.text:
                rewrite(value, old, new)


def lose_publishes() -> None:
    """One durable publish in ten is lost: it goes to another channel."""
    rewrite(script.APPEND, PUBLISH, LOSE)


def lose_memberships() -> None:
    """No word about a membership reaches the devices of a user."""
    publish = "redis.call(PUBLISH, ARGV[5]"
    rewrite(user_rooms._NOTE, publish, publish + " .. ':lost'")


def identity() -> None:
    """Feeds do not order: every publish counts as the next event."""
    vars(room)["classify"] = lambda stands, heard: sequence.Verdict.NEXT


def no_fence() -> None:
    """The fence does not compare the identity of Redis (T7)."""
    everywhere(FENCE, ONLY_A_HEAD)


def no_shape() -> None:
    """The fence does not compare the sizes of the keys (T12)."""
    everywhere(SHAPE, "if true then")


def die_before_index() -> None:
    """An injected fault: the origin dies before it writes the index of a doomed user."""
    write = MembershipIndex.write

    async def dying(self: MembershipIndex, request: AppendRequest, appended: AppendResult) -> None:
        if any(one.startswith("doomed") for users in appended.affected.values() for one in users):
            os._exit(1)
        await write(self, request, appended)

    vars_of(MembershipIndex, write=dying)


def same_epoch() -> None:
    """T1: a load after a loss keeps the old epoch."""

    real = Archive._open_epoch

    def unmoved(self: Archive, room_id: str, expected: int, seq: int) -> int:
        return expected or real(self, room_id, expected, seq)

    vars_of(Archive, _open_epoch=unmoved)


def no_drain() -> None:
    """T2: a load does not wait for the queue."""

    async def at_once(self: rehydrate.RoomLoader, room_id: str, nonce: str) -> None:
        return None

    vars_of(rehydrate.RoomLoader, _drain=at_once)


def no_floor() -> None:
    """T3: the hot log is trimmed by count alone, whatever the archive has."""
    rewrite(script.APPEND, "now + req.limits.log_floor", "now")
    rewrite(trims.TRIM, "left > most_events and floor", "left > most_events and 0")
    rewrite(trims.TRIM, "if not (fields.s or fields.m) then return true end", "do return true end")
    vars(trims)["ROUND_SECONDS"] = 0.5


def no_second_index() -> None:
    """T4: the relay does not write the user index."""

    async def not_updated(self: AckProcessor, entry: Entry) -> bool:
        return True

    vars_of(AckProcessor, _update_user_index=not_updated)


def no_eviction() -> None:
    """T5: a removal in the log ends no subscription."""

    def stay(self: room.RoomFeed, user_ids: set[str]) -> None:
        return None

    vars_of(room.RoomFeed, _evict=stay)


def no_repeat() -> None:
    """T6: the origin does not append again what Redis lost."""

    async def given_up(
        self: durability.DurabilityTracker,
        pending: PendingAppend,
        request: AppendRequest,
        max_epoch: int = 0,
    ) -> bool:
        self._resolve(pending, "failed")
        return False

    vars_of(durability.DurabilityTracker, _replay_one=given_up)


def early_queued() -> None:
    """T8: a record in the outbox counts as queued."""
    rewrite(script.APPEND, "status = 'pending'", "status = 'queued'")


def queued_at_once() -> None:
    """The first reply says `queued` too, although the record is only in the outbox."""
    rewrite(script.APPEND, "entry_ids, 'pending',", "entry_ids, 'queued',")


def partly() -> None:
    """T10: a replay that did not fit counts as whole."""
    vars_of(snapshots.EventRange, reaches_head=property(lambda self: self.events is not None))


def vars_of(kind: type, **changed: Any) -> None:
    """Replace attributes of a class."""
    for name, value in changed.items():
        assert hasattr(kind, name), name
        setattr(kind, name, value)


def mistaken() -> None:
    """A bug: reading history raises KeyError."""

    async def fall(self: History, room_id: str, user_id: str, query: dict[str, Any]) -> Any:
        return query["nothing"]

    vars_of(History, list_page=fall)


def revocations_fail() -> None:
    """A bug: revocations are not read any more once a doomed user is among them."""
    real = Revocations.refresh

    async def refresh(self: Revocations) -> None:
        if any(one.startswith("doomed") for one in self._revoked):
            raise RuntimeError("the handler is closed")
        await real(self)

    vars_of(Revocations, refresh=refresh)


def hang_at_end() -> None:
    """A drain blocks the event loop, and the kernel ends the process after 2 s instead of 60."""
    vars(processes)["PROCESS_KILL_AFTER_SECONDS"] = 2.0
    vars_of(Drain, drain=lambda self: time.sleep(1_000))


FAULTS: dict[str, Callable[[], Any]] = {
    "lose_publishes": lose_publishes,
    "lose_memberships": lose_memberships,
    "identity": identity,
    "no_fence": no_fence,
    "no_shape": no_shape,
    "die_before_index": die_before_index,
    "same_epoch": same_epoch,
    "no_drain": no_drain,
    "no_floor": no_floor,
    "no_second_index": no_second_index,
    "no_eviction": no_eviction,
    "no_repeat": no_repeat,
    "early_queued": early_queued,
    "queued_at_once": queued_at_once,
    "partly": partly,
    "hang_at_end": hang_at_end,
    "mistaken": mistaken,
    "revocations_fail": revocations_fail,
}

if __name__ == "__main__":
    for fault in filter(None, sys.argv[1].split(",")):
        FAULTS[fault]()
    sys.argv = ["rts-server", *sys.argv[2:]]
    main()
