"""The package over faults: an instance killed, Redis wiped, the network cut, a tab asleep."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.helpers.chat_package import ChatPackage
from tests.helpers.pair import HEARTBEAT_SECONDS, deployed
from tests.helpers.proxy import Proxy
from tests.helpers.world import World, name

BURST = 400
"""More than a reconnect replays (300 events): the room begins anew."""

WATCH = """
const room = clients[who].room(room_id);
room.watch();
const seen = (kept[who] = { heard: [], shortest: Infinity, most: 0 });
clients[who].on("message.new", (event) => seen.heard.push(event.data.message.message_id));
room.state.subscribe(({ messages }) => {
  seen.most = Math.max(seen.most, messages.length);
  if (messages.length < seen.most) seen.shortest = Math.min(seen.shortest, messages.length);
});
"""
"""Watch a room; `kept[who]` gets the messages heard, and whether the list was ever shorter."""

HELD = """
const line = (m) => [m.message_id, m.epoch, m.seq, m.version, m.text, m.reactions];
const texts = (state) => state.messages.map(line);
const list = (rooms) => rooms.map((r) => [r.room_id, r.seq, r.unread, r.last_message?.preview]);
const held = (client) => JSON.stringify([
  texts(client.room(room_id).state.value),
  client.room(room_id).state.value.members.map((m) => [m.user_id, m.role]),
  list(client.rooms().value),
  client.unread.value,
]);
"""


TEXTS = "clients[who].room(room_id).state.value.messages.map((m) => m.text)"
SENT = (
    "clients[who].room(room_id).state.value.messages.every((m) => m.seq && m.status !== 'sending')"
)

STEPS = (
    "room.send({ text: `message ${number}` })",
    "room.send({ text: `message ${number}` })",
    "if (mine) await room.edit(mine.message_id, { text: `edited ${number}` })",
    "if (mine) await room.delete(mine.message_id)",
    "if (any) await room.react(any.message_id, '👍', n % 3 > 0)",
    "if (any) room.markVisible(any.seq)",
    "await clients.alice.room(room_id).update({ name: `Team ${number}` })",
    "await clients.alice.room(room_id).members.add([`guest-${room_id}-${n % 5}`])",
    "await clients.alice.room(room_id).members.remove([`guest-${room_id}-${n % 5}`])",
)
"""What a user of the room does; `any` and `mine` are messages drawn by chance."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two instances with short times."""
    yield from deployed(tmp_path_factory)


def address(world: World, instance: int) -> tuple[str, int]:
    """Host and port of an instance."""
    return "127.0.0.1", int(world.urls[instance].rpartition(":")[2])


async def chat(page: ChatPackage, world: World, url: str) -> tuple[str, str]:
    """Alice at the first instance, Bob at `url`, and their group. Returns (Bob, room id)."""
    alice, bob = name("alice"), name("bob")
    await page.connect("alice", world.urls[1], world.token(alice))
    await page.connect("bob", url, world.token(bob))
    room_id = await page.run(
        "return (await clients.alice.group({name: 'Team', members: [bob]})).room_id", bob=bob
    )
    for who in ("alice", "bob"):
        await page.until("clients[who].rooms().value.length", who=who)
        await page.run(WATCH, who=who, room_id=room_id)
    return bob, room_id


async def says(page: ChatPackage, who: str, room_id: str, *texts: str) -> None:
    """Send messages at once, in this order."""
    code = "for (const text of texts) clients[who].room(room_id).send({ text })"
    await page.run(code, who=who, room_id=room_id, texts=texts)


async def reads(page: ChatPackage, who: str, room_id: str, *texts: str) -> None:
    """Wait until the last messages of a room are these, acked by the server."""
    shown = "clients[who].room(room_id).state.value.messages.slice(-texts.length)"
    same = f"JSON.stringify({shown}.map((m) => m.text)) === JSON.stringify(texts)"
    acked = f"{shown}.every((m) => m.seq && m.status !== 'sending')"
    await page.until(f"{same} && {acked}", who=who, room_id=room_id, texts=texts)


async def all_sent(page: ChatPackage, who: str, room_id: str) -> None:
    """Wait until the server has acked every message that a client sent."""
    messages = "clients[who].room(room_id).state.value.messages"
    await page.until(f"{messages}.every((m) => m.seq)", who=who, room_id=room_id)


async def agrees(page: ChatPackage, world: World, who: str, user_id: str, room_id: str) -> None:
    """What a client holds is what a new client of the same user reads."""
    await page.connect("fresh", world.urls[1], world.token(user_id))
    await page.run("clients.fresh.room(room_id).watch()", room_id=room_id)
    same = f"(() => {{ {HELD} return held(clients[who]) === held(clients.fresh) }})()"
    try:
        await page.until(same, who=who, room_id=room_id)
    except TimeoutError:
        both = f"{HELD} return [who, 'fresh'].map((one) => held(clients[one]))"
        ours, theirs = await page.run(both, who=who, room_id=room_id)
        assert json.loads(ours) == json.loads(theirs)
    await page.run("clients.fresh.close()")


async def received_ids(page: ChatPackage, who: str) -> list[str]:
    """The message_ids that `on("message.new")` told, in order."""
    found: list[str] = await page.run("return kept[who].heard", who=who)
    return found


def flush(world: World) -> None:
    """FLUSHALL."""
    with Redis.from_url(str(world.stack.settings.redis_url)) as client:
        client.flushall()


async def test_killed_instance(pair: World) -> None:
    """kill -9 with unsent messages: everything once, in order, for both, and in the state."""
    async with Proxy(address(pair, 0)) as balancer, ChatPackage() as page:
        bob, room_id = await chat(page, pair, f"http://127.0.0.1:{balancer.port}")
        await says(page, "bob", room_id, "before")
        await reads(page, "alice", room_id, "before")
        during = [f"during {n}" for n in range(5)]
        await says(page, "bob", room_id, *during)
        pair.webs[0].kill()
        await says(page, "alice", room_id, "missed 1", "missed 2")
        await says(page, "bob", room_id, "after")
        balancer.target = address(pair, 1)
        await page.until(
            "['missed 1', 'missed 2', 'after'].every((text) => clients.bob.room(room_id).state"
            ".value.messages.some((m) => m.text === text && m.seq))",
            room_id=room_id,
        )
        own = "clients.alice.room(room_id).state.value.messages.filter((m) => m.sender_id === bob)"
        texts = await page.run(f"return {own}.map((m) => m.text)", room_id=room_id, bob=bob)
        assert texts == ["before", *during, "after"]
        await agrees(page, pair, "bob", bob, room_id)
        for who in ("alice", "bob"):
            told = await received_ids(page, who)
            assert len(told) == len(set(told)) == 9
    pair.webs[0].start()


async def test_cut_network(pair: World) -> None:
    """After a cut nothing is read anew: cursors bring what was missed, and unread is right."""
    async with Proxy(address(pair, 1)) as network, ChatPackage() as page:
        bob, room_id = await chat(page, pair, f"http://127.0.0.1:{network.port}")
        await says(page, "alice", room_id, "one")
        await reads(page, "bob", room_id, "one")
        await page.until("clients.bob.unread.value.total === 1")
        await page.run("asked.length = 0")
        network.leave()
        await page.until("clients.bob.connection.value.status !== 'online'")
        await says(page, "alice", room_id, "two", "three")
        await page.run(
            "await clients.alice.room(room_id).edit(clients.alice.room(room_id)"
            ".state.value.messages.find((m) => m.text === 'one').message_id, {text: 'ONE'})",
            room_id=room_id,
        )
        await network.listen()
        await reads(page, "bob", room_id, "ONE", "two", "three")
        await page.until("clients.bob.unread.value.total === 3")
        assert len(await received_ids(page, "bob")) == 3
        asked = await page.run("return asked")
        assert "room.list" not in asked
        assert "room.get" not in asked
        assert "message.list" not in asked
        await agrees(page, pair, "bob", bob, room_id)


async def test_every_room_has_a_cursor(pair: World) -> None:
    """After a cut nothing is missed in rooms that nobody opened, hidden ones, and beyond a page."""
    rooms = 60  # a page of the list has 50
    async with Proxy(address(pair, 1)) as network, ChatPackage() as page:
        bob, _ = await chat(page, pair, f"http://127.0.0.1:{network.port}")
        ids = await page.run(
            "kept.rooms = await Promise.all(Array.from({ length: rooms }, (_, n) =>"
            " clients.alice.group({ name: `Room ${n}`, members: [bob] })));"
            "return kept.rooms.map((room) => room.room_id)",
            rooms=rooms,
            bob=bob,
        )
        await page.run("clients.bob.close()")
        await page.connect("bob", f"http://127.0.0.1:{network.port}", pair.token(bob))
        await page.until("clients.bob.rooms().value.length === total", total=rooms + 1)
        await page.run("await clients.bob.room(hidden).hide()", hidden=ids[0])
        await page.until("clients.bob.rooms({ hidden: true }).value.length === 1")
        await page.run(
            "kept.told = []; asked.length = 0;"
            "clients.bob.on('message.new', ({ room_id }) => kept.told.push(room_id))"
        )
        network.leave()
        await page.until("clients.bob.connection.value.status !== 'online'")
        await page.run(
            "for (const room of kept.rooms) room.send({ text: `missed in ${room.room_id}` })"
        )
        for own in ids:
            await all_sent(page, "alice", own)
        await network.listen()
        await page.until("new Set(kept.told).size === total", total=rooms)
        assert sorted(await page.run("return kept.told")) == sorted(ids)
        await page.until("clients.bob.unread.value.total === total", total=rooms)
        assert await page.run("return clients.bob.rooms({ hidden: true }).value") == []
        read_anew = {"room.list", "room.get", "message.list", "sync"}
        assert read_anew & set(await page.run("return asked")) == set()


async def test_wiped_redis(pair: World) -> None:
    """FLUSHALL and a reset of the room: the state never shrinks, and ends as history is."""
    async with ChatPackage() as page:
        bob, room_id = await chat(page, pair, pair.urls[0])
        await says(page, "alice", room_id, "one", "two")
        await reads(page, "bob", room_id, "one", "two")
        flush(pair)
        await says(page, "alice", room_id, "three")
        await says(page, "bob", room_id, "four")
        for who in ("alice", "bob"):
            shown = "clients[who].room(room_id).state.value.messages"
            await page.until(
                f"['three', 'four'].every((t) => {shown}.some((m) => m.text === t && m.seq))",
                who=who,
                room_id=room_id,
            )
            assert await page.run("return kept[who].shortest", who=who) is None  # Infinity
        await agrees(page, pair, "bob", bob, room_id)


async def test_sleeping_tab(pair: World) -> None:
    """A process that slept beyond the ping timeout and the replay: the window is read again."""
    async with ChatPackage() as page, ChatPackage() as asleep:
        bob, room_id = await chat(page, pair, pair.urls[0])
        await asleep.connect("bob", pair.urls[0], pair.token(bob))
        await asleep.run(WATCH, who="bob", room_id=room_id)
        await says(page, "alice", room_id, "one")
        await reads(asleep, "bob", room_id, "one")
        asleep.signal(signal.SIGSTOP)
        texts = [f"missed {n}" for n in range(BURST)]
        await says(page, "alice", room_id, *texts)
        await reads(page, "alice", room_id, texts[-1])
        await asyncio.sleep(HEARTBEAT_SECONDS + 0.5)  # the sleep itself is what is tested
        asleep.signal(signal.SIGCONT)
        await reads(asleep, "bob", room_id, *texts)
        assert await asleep.run("return kept.bob.shortest") is None
        await asleep.until("clients.bob.unread.value.total === total", total=BURST + 1)
        await asleep.run("clients.bob.room(room_id).markVisible(1e9)", room_id=room_id)
        await page.until("clients.bob.unread.value.total === 0")


@pytest.mark.parametrize("seed", [1, 2])
async def test_recorded_events_and_snapshots_are_the_next_snapshot(pair: World, seed: int) -> None:
    """Random commands of two users and cuts in between: what the client folded is what is read."""
    chance = random.Random(seed)
    async with Proxy(address(pair, 0)) as network, ChatPackage() as page:
        bob, room_id = await chat(page, pair, f"http://127.0.0.1:{network.port}")
        await says(page, "alice", room_id, "first")
        await reads(page, "bob", room_id, "first")
        for number in range(40):
            if chance.random() < 0.1:
                network.kill()
            step = chance.choice(STEPS)
            who = chance.choice(["alice", "alice", "bob"])
            await page.run(
                f"const room = clients[who].room(room_id); const {{ messages }} = room.state.value;"
                "const known = messages.filter((m) => m.message_id && m.type === 'text'"
                " && !m.deleted_at);"
                "const own = known.filter((m) => m.own);"
                "const any = known[n % known.length]; const mine = own[n % own.length];"
                f"{step}",
                who=who,
                room_id=room_id,
                n=chance.randrange(1000),
                number=number,
            )
        for who in ("alice", "bob"):  # before the last ones, or a late one would stand behind them
            await all_sent(page, who, room_id)
        await says(page, "alice", room_id, "unread", "unread and deleted")
        await reads(page, "alice", room_id, "unread", "unread and deleted")
        await page.run(
            "const room = clients.alice.room(room_id); await room.members.add([`late-${room_id}`]);"
            "const { messages } = room.state.value;"
            "const { message_id } = messages.find((m) => m.text.endsWith('and deleted'));"
            "await room.delete(message_id)",
            room_id=room_id,
        )
        await says(page, "alice", room_id, "last")
        await page.until(f"{TEXTS}.includes('last') && {SENT}", who="bob", room_id=room_id)
        await page.until(SENT, who="alice", room_id=room_id)
        await agrees(page, pair, "bob", bob, room_id)


async def test_unsent_messages_survive_a_reload(pair: World) -> None:
    """What was typed without a network is sent by the next page, in order, each once."""
    async with ChatPackage() as page:
        bob, room_id = await chat(page, pair, pair.urls[0])
        await page.run("kept.storage = chat.memoryStorage()")
        await page.connect("old", pair.urls[0], pair.token(bob), "{ storage: kept.storage }")
        await page.until("clients.old.rooms().value.length")
        await page.run("clients.old.close(); clients.bob.close()")
        texts = [f"typed {n}" for n in range(5)]
        await says(page, "old", room_id, *texts)
        await page.run("clients.old.room(room_id).draft.set('half a')", room_id=room_id)
        await page.until("kept.storage.entries('').length === 6")
        await page.connect("new", pair.urls[0], pair.token(bob), "{ storage: kept.storage }")
        await reads(page, "alice", room_id, *texts)
        draft = "clients.new.room(room_id).state.value.draft"
        await page.until(f"{draft} === 'half a'", room_id=room_id)
        await page.until("kept.storage.entries('').length === 1")
        assert len(await received_ids(page, "alice")) == len(texts)


async def test_accepted_is_true_until_it_is_queued(pair: World) -> None:
    """While nothing is stored: over a cut of the network, a reload, and the end of the outage."""
    async with Proxy(address(pair, 0)) as network, ChatPackage() as page:
        url = f"http://127.0.0.1:{network.port}"
        bob, room_id = await chat(page, pair, url)
        await page.run("clients.bob.close(); kept.storage = chat.memoryStorage()")
        await page.connect("old", url, pair.token(bob), "{ storage: kept.storage }")
        await page.run("clients.old.room(room_id).watch()", room_id=room_id)
        status = "clients[who].room(room_id).state.value.messages.at(-1)?.status"
        pair.relay.kill()
        try:
            await says(page, "old", room_id, "not stored")
            await page.until(f"{status} === 'accepted'", who="old", room_id=room_id)
            await page.run("asked.length = 0")
            network.kill()
            await page.until("asked.includes('message.send')")
            assert await page.run(f"return {status}", who="old", room_id=room_id) == "accepted"
            await page.run("clients.old.close()")
            await page.connect("new", url, pair.token(bob), "{ storage: kept.storage }")
            await page.run("clients.new.room(room_id).watch()", room_id=room_id)
            await page.until(f"{status} === 'accepted'", who="new", room_id=room_id)
            await page.run("clients.new.close()")  # message.status finds nobody
        finally:
            pair.relay.start()
        await page.connect("last", url, pair.token(bob), "{ storage: kept.storage }")
        await page.run("clients.last.room(room_id).watch()", room_id=room_id)
        known = "['queued', 'delivered', 'read'].includes"
        await page.until(f"{known}({status})", who="last", room_id=room_id)
        await page.until("kept.storage.entries('').length === 0")
        assert len(await received_ids(page, "alice")) == 1


async def test_a_token_is_renewed_and_one_that_cannot_be_had_is_waited_for(pair: World) -> None:
    """getToken fails twice, then gives short tokens: one session, longer than each of them."""
    user_id = name("carol")
    async with ChatPackage() as page:
        await page.run("kept.tokens = []; kept.ready = 0")
        getting = (
            "{ getToken: async () => { const token = kept.tokens.shift();"
            " if (!token) throw new Error('no token'); return token; } }"
        )
        connecting = asyncio.create_task(page.connect("carol", pair.urls[0], "", getting))
        await page.until("clients.carol?.connection.value.code === 'token_unavailable'")
        await page.run("clients.carol.on('session.ready', () => { kept.ready += 1; })")
        await page.run("kept.tokens.push(token)", token=pair.token(user_id, lifetime=4))
        await connecting
        for _ in range(2):
            await page.run("kept.tokens.push(token)", token=pair.token(user_id, lifetime=4))
            await page.until("kept.tokens.length === 0")
        await page.run("kept.tokens.push(token)", token=pair.token(user_id))
        await page.until("kept.tokens.length === 0")
        assert await page.run("return kept.ready") == 1
        assert await page.run("return asked.filter((name) => name === 'auth.refresh').length") >= 2


async def test_a_refused_token_is_reported_and_commands_reject(pair: World) -> None:
    """`refused` with its code; commands reject instead of waiting; connect() tries anew."""
    async with ChatPackage() as page:
        getting = "{ getToken: () => kept.token }"
        await page.run("kept.token = 'no token'")
        connecting = asyncio.create_task(page.connect("dora", pair.urls[0], "", getting))
        await page.until("clients.dora?.connection.value.status === 'refused'")
        assert await page.run("return clients.dora.connection.value.code") == "unauthorized"
        code = await page.run("return clients.dora.direct('x').catch((error) => error.code)")
        assert code == "unauthorized"
        await page.run("kept.token = token; clients.dora.connect()", token=pair.token(name("dora")))
        await connecting
