"""Lost publishes and breaks of the link, on a real Valkey: what was missed comes all the same."""

from __future__ import annotations

from rts_server import keys
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.realtime.canary import Canary
from rts_server.roomlog.request import AppendRequest
from rts_server.roomlog.script import APPEND
from tests.helpers.bench import Bench, append, message
from tests.helpers.waiting import eventually
from tests.realtime.instance import Instance, seqs


async def append_without_publish(bench: Bench, request: AppendRequest) -> None:
    """Append an event whose publish is lost."""
    names, args = append(request, bench.settings)
    lost = ["nowhere" if arg == keys.room_channel(request.room_id) else arg for arg in args]
    answer = await APPEND.evaluate(bench.redis, names, lost)
    assert answer[0] == b"ok"


async def test_a_lost_publish_is_found_by_the_head_of_the_relay(
    instance: Instance, bench: Bench
) -> None:
    """It delivers the lost event although no other follows, and nobody else receives the head."""
    room_id = await bench.group("alice")
    alice, events = instance.socket("alice")
    replay = (await instance.subscriptions.join(alice, [room_id], {}))[room_id]
    assert replay.start is not None
    instance.subscriptions.go_live(alice, room_id, replay.start)
    await append_without_publish(bench, message(room_id, "alice"))
    await bench.redis.publish(keys.room_channel(room_id), "1 3 ~head@- {}")
    await instance.until(lambda: seqs(events) == [1])
    assert len(events) == 1


async def test_after_a_break_what_changed_in_it_is_repaired(
    instance: Instance, bench: Bench
) -> None:
    """Of two rooms with a lost event, the one that is known to have changed; the other one at its
    next head. Users whose memberships changed are compared, and no others."""
    one, other = [await bench.group("alice", room=name) for name in ("one", "other")]
    alice, events = instance.socket("alice")
    bob, _ = instance.socket("bob")
    compared: list[str] = []

    async def compare(user_id: str) -> None:
        compared.append(user_id)

    instance.compare = compare
    for listener in (alice, bob):
        await instance.subscriptions.add_listener(listener)
    for room_id, replay in (await instance.subscriptions.join(alice, [one, other], {})).items():
        assert replay.start is not None
        instance.subscriptions.go_live(alice, room_id, replay.start)
    canary = instance.subscriptions.canary
    assert isinstance(canary, Canary)
    await eventually(lambda: canary.heard_until > 0)
    for room_id in (one, other):
        await append_without_publish(bench, message(room_id, "alice"))
    await RecentChanges(bench.redis).note([one, "strange"], [("strange", "bob"), ("any", "eve")])
    await bench.redis.client_kill_filter(_type="pubsub")
    await instance.until(lambda: instance.missed and events)
    changes = instance.missed[0]
    assert changes is not None
    assert (changes.rooms, set(changes.members)) == ({one, "strange"}, {"bob", "eve"})
    await eventually(lambda: compared == ["bob"])
    assert [event["room_id"] for event in events] == [one]
    await bench.redis.publish(keys.room_channel(other), "1 3 ~head@- {}")
    await instance.until(lambda: [event["room_id"] for event in events] == [one, other])


async def test_a_lost_publish_comes_before_the_next_event(instance: Instance, bench: Bench) -> None:
    """The gap is filled from the hot log before the published event."""
    room_id = await bench.group("alice")
    alice, events = instance.socket("alice")
    replay = (await instance.subscriptions.join(alice, [room_id], {}))[room_id]
    assert replay.start is not None
    instance.subscriptions.go_live(alice, room_id, replay.start)
    for n in range(3):
        await append_without_publish(bench, message(room_id, "alice", f"lost{n}"))
    await bench.append(message(room_id, "alice", "heard"))
    await instance.until(lambda: len(events) == 4)
    assert seqs(events) == [1, 2, 3, 4]
