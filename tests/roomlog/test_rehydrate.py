"""Cold loads: after a drain, by one claim, as a whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rts_server import errors, keys, metrics
from rts_server.auth import Identity
from rts_server.persistence.stored_items import StoredMember, StoredRoom
from rts_server.roomlog import rehydrate as cold
from rts_server.roomlog.request import MembershipChange, NewMember
from rts_server.types.commands import RoomCreatePayload
from tests.helpers.bench import Bench
from tests.helpers.deployed import Deployed


def seqs(standing: Any) -> dict[str, tuple[int, int]]:
    """(read_seq, unread) per user."""
    return {user: (seat.read_seq, seat.unread) for user, seat in standing.members.items()}


async def barriers(deployed: Deployed) -> list[str]:
    """The nonces of the barriers in the outbox."""
    return [fields[b"b"].decode() for _, _, fields in await deployed.outbox() if b"b" in fields]


async def until_barrier(deployed: Deployed) -> str:
    """Wait for one barrier in the outbox; returns its nonce."""
    while not (found := await barriers(deployed)):
        continue
    (nonce,) = found
    return nonce


async def test_a_group_without_members_is_a_room(deployed: Deployed) -> None:
    """Declared without members, it survives the loss of Redis, and members can be added then."""
    room_id, created, done = await deployed.services.provisioning.get_or_create_group(
        "ops", "case-1", {"name": "Case"}
    )
    assert created
    await deployed.store()
    assert await done.durability == "stored"
    await deployed.redis.flushall()
    async with deployed.relaying():
        wanted = MembershipChange(new_members=(NewMember("alice", "owner"),))
        changed = await deployed.services.provisioning.change_members(room_id, "ops", wanted)
        assert [await one.durability for one in changed.done] == ["stored"]
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert (stored.epoch, stored.room and stored.room["name"]) == (2, "Case")


async def test_a_deleted_room_stays_deleted(deployed: Deployed) -> None:
    """Also after the loss of Redis nobody is a member, and nobody can be added."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "m0")
    done = await deployed.services.system_rooms.delete(room_id, "ops")
    assert set(done.affected("go")) == {"alice", "bob"}
    (told,) = [f[b"d"] for _, _, f in await deployed.outbox() if b"expiry" in f[b"d"]]
    assert json.loads(told)["expiry"]["room_id"] == room_id
    await deployed.store()
    assert await done.durability == "stored"
    await deployed.redis.flushall()
    async with deployed.relaying():
        wanted = MembershipChange(new_members=(NewMember("alice", "owner"),))
        with pytest.raises(errors.NotFound):
            await deployed.services.provisioning.change_members(room_id, "ops", wanted)
    assert [one.state for one in await deployed.services.archive.members(room_id)] == ["out", "out"]
    with pytest.raises(errors.Gone):
        await deployed.services.system_rooms.public(room_id)


async def test_a_lost_room_is_loaded_under_a_new_epoch(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    """Members, cursors, seq, last message and uncounted messages; event and log name `prev`."""
    caplog.set_level("INFO", cold.__name__)
    room_id = await deployed.group("alice", "bob")
    for n in range(3):
        await deployed.send(room_id, "alice", f"m{n}", f"text {n}")
    await deployed.services.memberships.add(room_id, "alice", ["carol"], "admin")
    await deployed.store()
    before = await deployed.services.snapshots.read(room_id, ["alice", "bob", "carol"])
    loads = metrics.COLD_LOADS.labels("ok")._value
    counted = loads.get()
    await deployed.redis.flushall()
    assert await deployed.services.snapshots.read(room_id, ["alice"]) is None
    async with deployed.relaying():
        done = await deployed.send(room_id, "bob", "m3")
    assert done.result is not None
    assert (done.result.epoch, done.result.offset, done.result.seq) == (2, 2, 5)
    after = await deployed.services.snapshots.read(room_id, ["alice", "bob", "carol"])
    assert before is not None
    assert after is not None
    assert seqs(before) == {"alice": (3, 0), "bob": (0, 3), "carol": (3, 0)}
    assert seqs(after) == {"alice": (3, 1), "bob": (5, 0), "carol": (3, 1)}
    assert {user: seat and seat.role for user, seat in after.members.items()} == {
        "alice": "owner", "bob": "member", "carol": "admin",
    }  # fmt: skip
    assert before.position == (1, 7)
    assert after.starts == [(1, 0), (2, 4)]
    opened, _ = await Bench(deployed.redis).events(room_id)
    assert (opened["type"], opened["data"]) == ("room.epoch", {"prev": [1, 7]})
    logged = [vars(one) for one in caplog.records if one.message == "epoch opened"]
    assert (logged[-1]["epoch"], logged[-1]["prev"]) == (2, [1, 7])
    assert {**before.room, "metadata": {}} == {**after.room, "metadata": {}}
    assert loads.get() == counted + 1


async def test_a_load_leaves_out_deletions_that_all_have_read(deployed: Deployed) -> None:
    """Only those above the lowest read cursor can count for somebody, however many there were."""
    room_id = await deployed.group("alice", "bob")
    sent = [await deployed.send(room_id, "alice", f"m{n}") for n in range(3)]
    await deployed.send(room_id, "bob", "answer")
    sent.append(await deployed.send(room_id, "alice", "last"))
    for one in sent:
        await deployed.services.messages.delete(room_id, "alice", one.request_id)
    await deployed.store()
    await deployed.redis.flushall()
    async with deployed.relaying():
        await deployed.services.room_log.load_if_cold(room_id)
    assert await deployed.redis.zrange(keys.room(room_id).uncounted, 0, -1) == [b"5"]
    after = await deployed.services.snapshots.read(room_id, ["alice", "bob"])
    assert after is not None
    assert seqs(after) == {"alice": (5, 0), "bob": (4, 0)}


async def test_nothing_is_read_before_the_barrier_is_stored(deployed: Deployed) -> None:
    """Records queued before the loss are in the loaded room (D1)."""
    room_id = await deployed.group("alice", "bob")
    await deployed.send(room_id, "alice", "late")
    in_flight = await deployed.outbox()
    await deployed.redis.flushall()
    sending = asyncio.create_task(deployed.send(room_id, "bob", "m"))
    await until_barrier(deployed)
    assert await Bench(deployed.redis).state(room_id) == "cold"
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.epoch == 1
    deployed.deliver(fields for _, _, fields in in_flight)  # then, in its turn, the barrier
    await deployed.store()
    done = await sending
    assert done.result is not None
    assert (done.result.epoch, done.result.seq) == (2, 2)
    assert [e["type"] for e in await Bench(deployed.redis).events(room_id)] == [
        "room.epoch", "message.new",
    ]  # fmt: skip


async def test_one_loader_loads_and_the_others_wait(deployed: Deployed) -> None:
    """Many commands of two processes on a cold room: one barrier, one epoch, all answered."""
    room_id = await deployed.group("alice", "bob")
    await deployed.redis.flushall()
    async with Deployed(deployed.settings, deployed.redis) as other:
        sends = [
            asyncio.create_task(one.send(room_id, "alice", f"{name}{n}"))
            for name, one in (("a", deployed), ("b", other))
            for n in range(5)
        ]
        await until_barrier(deployed)
        async with deployed.relaying():
            done = await asyncio.gather(*sends)
    places = sorted((d.result.epoch, d.result.offset) for d in done if d.result)
    assert places == [(2, offset) for offset in range(2, 12)]
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.epoch == 2


async def test_a_room_that_does_not_exist_opens_no_epoch(deployed: Deployed) -> None:
    """`not_found` leaves no claim and nothing in the archive."""
    with pytest.raises(errors.NotFound):
        await deployed.send("nowhere", "alice", "m")
    assert await deployed.services.archive.room("nowhere") is None
    assert await deployed.redis.keys("*nowhere*") == []
    assert await deployed.outbox() == []


async def test_a_new_room_needs_no_barrier(deployed: Deployed) -> None:
    """No epoch of it was ever opened, so no record of it can be queued."""
    command: RoomCreatePayload = {"type": "group", "client_room_id": "new", "members": ["bob"]}
    room_id, created, done = await deployed.services.rooms.create(Identity("alice", 0), command)
    assert created
    assert await barriers(deployed) == []
    assert done.result is not None
    assert (done.result.epoch, done.result.offset) == (1, 2)
    assert not done.durability.done()
    await deployed.store()
    assert await done.durability == "stored"
    again = await deployed.services.rooms.create(Identity("alice", 0), command)
    assert again[:2] == (room_id, False)


@asynccontextmanager
async def refusing(deployed: Deployed) -> AsyncIterator[None]:
    """Make DynamoDB throttle every read."""
    hooks = deployed.services.archive._client.meta.events

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "BatchGetItem")

    hooks.register_first("before-call.dynamodb.BatchGetItem", refuse)
    try:
        yield
    finally:
        hooks.unregister("before-call.dynamodb.BatchGetItem", refuse)


async def test_an_archive_that_is_away_is_unavailable_and_the_claim_is_free(
    deployed: Deployed,
) -> None:
    """Nothing is installed; the next command can claim the room at once."""
    room_id = await deployed.group("alice")
    await deployed.redis.flushall()
    async with refusing(deployed):
        with pytest.raises(errors.Unavailable):
            await deployed.send(room_id, "alice", "m")
        assert await deployed.redis.keys("*") == []
    async with deployed.relaying():
        assert (await deployed.send(room_id, "alice", "m")).result is not None


async def test_a_lost_claim_installs_nothing(deployed: Deployed) -> None:
    """A loader whose claim ended while it waited gives up; the new claimant loads."""
    room_id = await deployed.group("alice")
    await deployed.redis.flushall()
    sending = asyncio.create_task(deployed.send(room_id, "alice", "m"))
    nonce = await until_barrier(deployed)
    await deployed.redis.set(keys.room(room_id).claim, "somebody else")
    with pytest.raises(errors.Unavailable):
        await sending
    assert await deployed.redis.get(keys.room(room_id).claim) == b"somebody else"
    await deployed.store()
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert (stored.barrier, stored.epoch) == (nonce, 1)


async def test_a_load_outlives_the_command_that_began_it(deployed: Deployed) -> None:
    """A client that disconnects does not leave the room cold."""
    room_id = await deployed.group("alice")
    await deployed.redis.flushall()
    sending = asyncio.create_task(deployed.send(room_id, "alice", "m"))
    await until_barrier(deployed)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await deployed.store()
    while await Bench(deployed.redis).state(room_id) != "warm":
        continue
    assert not await deployed.redis.exists(keys.room(room_id).claim)


async def test_the_claim_of_a_command_that_timed_out_is_released(deployed: Deployed) -> None:
    """Redis replied after the deadline: the next command loads without waiting."""
    room_id = await deployed.group("alice")
    await deployed.redis.flushall()
    await deployed.redis.client_pause(200)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await deployed.send(room_id, "alice", "late")
    async with deployed.relaying():
        done = await deployed.send(room_id, "alice", "next")
        assert await done.durability == "queued"


async def test_installing_leaves_the_outbox_alone(bench: Bench) -> None:
    """Entries in the outbox stay, also those of the room."""
    room_id = await bench.group("alice")
    waiting = await bench.outbox(room_id)
    await bench.redis.delete(keys.room(room_id).members)
    await bench.redis.set(keys.room(room_id).claim, "nonce")
    assert await bench.install(room_id, ["alice"]) == "ok"
    assert await bench.outbox(room_id) == waiting


@pytest.mark.parametrize(
    ("harm", "answer"), [("claim", "stolen"), ("warm", "warm"), ("epoch", "moved")]
)
async def test_an_install_that_comes_late_changes_nothing(
    bench: Bench, harm: str, answer: str
) -> None:
    """The claim is another's, the room is warm again, or its epoch is not later."""
    room_id = await bench.group("alice")
    claim = keys.room(room_id).claim
    await bench.redis.set(claim, "other" if harm == "claim" else "nonce")
    if harm == "epoch":
        await bench.redis.delete(keys.room(room_id).members)
    before = {k: v for k, v in (await bench.dump()).items() if k != claim.encode()}
    assert await bench.install(room_id, ["alice"], epoch=1 if harm == "epoch" else 2) == answer
    assert {k: v for k, v in (await bench.dump()).items() if k != claim.encode()} == before


async def test_a_barrier_needs_the_claim(bench: Bench) -> None:
    """Without the claim no barrier is sent; with it the claim is renewed."""
    claim = keys.room("room").claim
    args: list[str | int] = ["room", "nonce", "origin", "{}", 60_000]
    assert await bench.evaluate("barrier", "room", *args) == 0
    await bench.redis.set(claim, "other")
    assert await bench.evaluate("barrier", "room", *args) == 0
    assert await bench.outbox("room") == []
    await bench.redis.set(claim, "nonce", px=1_000)
    assert await bench.evaluate("barrier", "room", *args) == 1
    assert await bench.redis.pttl(claim) > 1_000
    assert [entry[b"b"] for entry in await bench.outbox("room")] == [b"nonce"]


async def test_a_barrier_into_an_outbox_of_another_type_leaves_the_claim_unchanged(
    bench: Bench,
) -> None:
    """The script fails at its first write."""
    claim = keys.room("room").claim
    await bench.redis.set(claim, "nonce", px=5_000)
    await bench.redis.set(keys.room("room").outbox, "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await bench.evaluate("barrier", "room", "room", "nonce", "origin", "{}", 60_000)
    assert await bench.redis.pttl(claim) <= 5_000


def test_the_last_position_is_the_highest_of_the_room_and_its_members() -> None:
    """Events of members count like those of the room."""

    def member(epoch: int, offset: int) -> StoredMember:
        return StoredMember("r", "u", "out", "member", None, "", 0, 0, 0, epoch, offset)

    stored = StoredRoom("r", None, position=(2, 5))
    assert cold.last_position(stored, []) == (2, 5)
    assert cold.last_position(stored, [member(2, 6), member(1, 9)]) == (2, 6)


def test_the_first_event_of_an_epoch_is_json() -> None:
    """Its two halves around the time are JSON for any room id."""
    first, second = cold._epoch_event("r-_0", 7, (6, 5))
    assert json.loads(f"{first}2026-11-23T10:00:00.000Z{second}") == {
        "type": "room.epoch",
        "ts": "2026-11-23T10:00:00.000Z",
        "room_id": "r-_0",
        "epoch": 7,
        "offset": 1,
        "data": {"prev": [6, 5]},
    }
    assert cold.milliseconds("1970-01-01T00:00:01.005Z") == 1005
