"""Processes stop, die and lose their memory, and nothing acknowledged is lost (D1, D2)."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.helpers.commands import direct, wait_for_text
from tests.helpers.sender import Sender, agrees, order_is_kept, positions_are_unique
from tests.helpers.waiting import promised, until
from tests.helpers.world import World, name, placed
from tests.helpers.world_redis import restart, saved


async def settled(world: World, sender: Sender, count: int) -> None:
    """Return when everything is in the table; history, table and acks agree."""
    await asyncio.to_thread(until, lambda: placed(world, sender.room_id) >= count)
    await agrees(sender, world.messages(sender.room_id))


async def test_aws_stopped(breakable: World) -> None:
    """Without AWS live delivery goes on and no ack says queued; later message.status follows."""
    aws = breakable.stack.aws
    assert aws is not None
    async with breakable.js(name("alice")) as a, breakable.js(bob := name("bob")) as b:
        sender = Sender(a, await direct(a, bob))
        await sender.send("before")
        aws.signal(signal.SIGSTOP)
        try:
            sends = [asyncio.create_task(sender.send(f"during {n}")) for n in range(20)]
            with promised(2):
                await wait_for_text(b, "during 19")
            acks = [await send for send in sends]
            assert {ack["status"] for ack in acks} == {"accepted"}
            history = await sender.history()
            assert [m["text"] for m in history][1:] == [f"during {n}" for n in range(20)]
        finally:
            aws.signal(signal.SIGCONT)
        await a.until(lambda: len(a.of_type("message.status")) == 20)
        told = {e["data"]["message_id"] for e in a.of_type("message.status")}
        assert told == {ack["message_id"] for ack in acks}
        assert {e["data"]["status"] for e in a.of_type("message.status")} == {"queued"}
        await settled(breakable, sender, 21)


@pytest.mark.on_both
async def test_relay_killed(breakable: World) -> None:
    """kill -9 of the relay again and again under load loses and doubles nothing."""
    async with breakable.js(name("alice")) as a, breakable.js(bob := name("bob")) as b:
        sender = Sender(a, await direct(a, bob))
        for round_ in range(3):
            sends = [asyncio.create_task(sender.send(f"{round_}.{n}")) for n in range(40)]
            await wait_for_text(b, f"{round_}.5")
            breakable.relay.kill()
            breakable.relay.start()
            await asyncio.gather(*sends)
        await settled(breakable, sender, 120)
        order_is_kept(b, sender.room_id)
        positions_are_unique(a, b)


async def test_relay_paused_for_ten_seconds(breakable: World) -> None:
    """A relay that wakes after its lease has ended loses and doubles nothing."""
    async with breakable.js(name("alice")) as a:
        sender = Sender(a, await direct(a, name("bob")))
        await sender.send("before")
        sends = [asyncio.create_task(sender.send(f"{n}")) for n in range(30)]
        breakable.relay.signal(signal.SIGSTOP)
        acks = await asyncio.gather(*sends)
        assert any(ack["status"] == "accepted" for ack in acks)
        await asyncio.sleep(10)  # the pause itself is what is tested
        breakable.relay.signal(signal.SIGCONT)
        late = sum(ack["status"] == "accepted" for ack in acks)
        await a.until(lambda: len(a.of_type("message.status")) == late)
        await settled(breakable, sender, 31)


@pytest.mark.on_both
@pytest.mark.parametrize("memory", ["empty", "older dump"])
async def test_valkey_loses_its_data(breakable: World, memory: str) -> None:
    """Redis dies with un-acked sends: no position twice, nothing acked lost, each id once."""
    async with breakable.js(name("alice")) as a, breakable.js(bob := name("bob")) as b:
        sender = Sender(a, await direct(a, bob))
        for n in range(5):
            await sender.send(f"first {n}")
        dumps = saved(breakable)
        for n in range(5):
            await sender.send(f"second {n}")
        breakable.relay.signal(signal.SIGSTOP)
        sends = [asyncio.create_task(sender.send(f"third {n}")) for n in range(8)]
        await wait_for_text(b, "third 7")
        restart(breakable, dumps if memory == "older dump" else {})
        breakable.relay.signal(signal.SIGCONT)
        await asyncio.gather(*sends)
        for n in range(3):
            await sender.send(f"fourth {n}")
        await wait_for_text(b, "fourth 2")
        await settled(breakable, sender, 21)
        positions_are_unique(a, b)
        order_is_kept(a, sender.room_id)
        order_is_kept(b, sender.room_id)
        epochs = {message["epoch"] for message in await sender.history()}
        assert len(epochs) == 2
        texts = [m["text"] for m in await sender.history()]
        wanted = [
            f"{w} {n}"
            for w, k in (("first", 5), ("second", 5), ("third", 8), ("fourth", 3))
            for n in range(k)
        ]
        assert sorted(texts) == sorted(wanted)
