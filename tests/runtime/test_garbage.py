"""Pauses of the garbage collector: what survived a full collection is not walked again."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import aiohttp
import orjson
import pytest
from pytest_aiohttp.plugin import AiohttpClient

from rts_server.app import create_app
from rts_server.realtime.feed_context import FeedContext
from rts_server.realtime.listener import Listener
from rts_server.realtime.room_feed import RoomFeed
from rts_server.runtime import garbage
from tests.helpers.waiting import eventually
from tests.helpers.world import World
from tests.realtime.log import Log

MANY = 10_000


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Leave the collector of the test process as it was; meanwhile it runs only when asked."""
    gc.disable()
    yield
    gc.enable()
    gc.callbacks.remove(garbage._freeze_survivors)
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
def test_a_full_collection_walks_what_was_made_since_the_one_before() -> None:
    """However much there is; what is not used any more is freed by its count of references."""
    garbage.keep_pauses_short()
    held = [[number] for number in range(MANY)]
    walked = []
    for _ in range(2):
        walked.append(len(gc.get_objects()))  # without the excluded ones
        gc.collect()
    frozen = gc.get_freeze_count()
    held.clear()
    assert walked[0] >= MANY > walked[1]
    assert gc.get_freeze_count() <= frozen - MANY


def test_a_left_room_and_its_listener_are_no_cycle() -> None:
    """A cycle that was in use in a full collection would never be freed."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            room = RoomFeed("room", FeedContext(Log(), lambda work: work.close()))
            room.open_at((1, 1))
            listener = Listener("alice", lambda packet: None, lambda packet: None)
            room.join(listener, (1, 1))
            room.go_live(listener, (1, 1))
            room.leave(listener)
            room.close()
        del room, listener
        assert gc.collect() == 0
    finally:
        gc.enable()


CONNECTIONS = 40
OURS = ("rts_server.", "engineio.", "socketio.")
OF_A_TIMER = "rts_server.runtime.deadline.Deadline"
"""Its timer holds it until the deadline."""


async def test_a_closed_connection_is_no_cycle(world: World, aiohttp_client: AiohttpClient) -> None:
    """With its namespaces, a room and a message: what was in use in a full collection is freed."""
    client = await aiohttp_client(create_app(world.stack.settings))
    url, token = str(client.make_url("/")), world.token("alice")
    await converse(client.session, url, token)  # what is made once
    gc.collect()
    before = objects()
    gc.disable()
    try:
        for _ in range(CONNECTIONS):
            await converse(client.session, url, token)
        await eventually(lambda: max((objects() - before).values(), default=0) < CONNECTIONS // 2)
    finally:
        gc.enable()


def objects() -> Counter[str]:
    """The objects of our classes and of Socket.IO's, by class."""
    names = (f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return Counter(name for name in names if name.startswith(OURS) and name != OF_A_TIMER)


async def converse(session: aiohttp.ClientSession, url: str, token: str) -> None:
    """Connect, open a room and send into it, wait for the answers, and leave."""
    async with session.ws_connect(url + "socket.io/?EIO=4&transport=websocket") as ws:
        for namespace in ("chat", "presence", "receipts"):
            await ws.send_str(f'40/{namespace},{{"token":"{token}"}}')
        create = '42/chat,1["room.create",{"type":"direct","members":["bob"]}]'
        await ws.send_str(create)
        room_id = ""
        while not room_id:
            text = await ws.receive_str()
            if text.startswith("43/chat,1"):
                answer = orjson.loads(text.removeprefix("43/chat,1"))[0]
                if answer["ok"]:
                    room_id = answer["data"]["room"]["room_id"]
                else:  # as a client does
                    assert answer["error"]["retryable"], answer
                    await ws.send_str(create)
        sent = {"room_id": room_id, "client_msg_id": "once", "text": "hi"}
        await ws.send_str(f'42/chat,2["message.send",{orjson.dumps(sent).decode()}]')
        while not (await ws.receive_str()).startswith("43/chat,2"):
            pass
