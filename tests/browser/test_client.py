"""rts-chat in a real browser: what survives a reload, uploads, a tab that is frozen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, Page

from rts_chat import AsyncRestClient, sign_token
from tests.browser.session import until, upload_slowly, visit
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import PATIENCE, eventually
from tests.helpers.world import World

VENDOR = Path(__file__).parents[2] / "web" / "vendor"
BURST = 320
"""More than a reconnect replays: the room begins anew."""

CONNECT = """(async () => {
  const rts = await import("/rts-chat.min.js");
  const token = async () => (await (await fetch(`${server}/dev/token?user=${user}`)).json()).token;
  globalThis.chat = rts.createClient({ url, getToken: token, storage: rts[storage]() });
  globalThis.entries = (kind) => rts[storage]().entries(`rts-chat/${user}/${kind}`);
  chat.connect();
})()"""


@pytest_asyncio.fixture(loop_scope="session")
async def origin() -> AsyncIterator[str]:
    """The URL of an empty page that has the package and no other server's policy."""
    app = web.Application()

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    app.router.add_get("/", empty)
    app.router.add_static("/", VENDOR)
    async with TestServer(app) as running:
        yield str(running.make_url("/"))


@pytest_asyncio.fixture(loop_scope="session")
async def operator(world: World) -> AsyncIterator[AsyncRestClient]:
    """REST at the same instance."""
    secret = world.stack.settings.jwt_secret
    token = sign_token(secret, sub="operator", scope="operator")
    async with AsyncRestClient(world.urls[0], token) as rest:
        yield rest


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.rpartition(":")[2])


async def run(page: Page, code: str, **values: Any) -> Any:
    """What an asynchronous function body returns in a page."""
    return await page.evaluate(f"async ({{{', '.join(values)}}}) => {{ {code} }}", values)


async def connect(
    page: Page, user: str, server: str, url: str, storage: str = "memoryStorage"
) -> None:
    """A client of this user as `chat`, in a page that was just loaded."""
    await until(page, "document.title === 'page'")
    more = {"user": user, "server": server, "url": url, "storage": storage}
    await run(page, f"await {CONNECT}", **more)
    await until(page, "chat.connection.value.status === 'online'")


@pytest.mark.parametrize("storage", ["indexedDbStorage", "webStorage"])
async def test_what_is_unsent_survives_a_reload(
    context: BrowserContext,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
    storage: str,
) -> None:
    """Texts and a draft typed without a network; with IndexedDB, a file too. Each is sent once."""
    alice, bob = names
    texts = [f"typed {n}" for n in range(5)]
    keeps_files = storage == "indexedDbStorage"
    async with Proxy(("127.0.0.1", port_of(dev_url))) as network:
        url = f"http://127.0.0.1:{network.port}"
        page = await visit(context, origin)
        await connect(page, alice, dev_url, url, storage)
        room_id = await run(page, "return (await chat.direct(bob)).room_id", bob=bob)
        network.leave()
        await until(page, "chat.connection.value.status !== 'online'")
        await run(
            page,
            "const room = chat.room(room_id); for (const text of texts) room.send({ text });"
            "if (files) room.send({ text: 'see', files: [new File(['notes'], 'notes.txt',"
            " { type: 'text/plain' })] }); room.draft.set('half a');"
            "globalThis.stored = async () => (await entries('outbox')).length === texts.length"
            " + Number(files) && (await entries('draft')).length === 1;"
            "while (!(await stored())) await new Promise((done) => setTimeout(done, 20));",
            room_id=room_id,
            texts=texts,
            files=keeps_files,
        )
        await page.reload()
        await until(page, "typeof chat === 'undefined' && document.title === 'page'")
        await network.listen()
        await connect(page, alice, dev_url, url, storage)
        await run(page, "chat.room(room_id).watch()", room_id=room_id)
        shown = f"chat.room({json.dumps(room_id)}).state.value"
        expected = len(texts) + keeps_files
        await until(page, f"{shown}.messages.filter((m) => m.seq).length === {expected}")
        await until(page, f"{shown}.draft === 'half a'")

        async def is_empty() -> bool:
            return bool(await run(page, "return (await entries('outbox')).length === 0"))

        await eventually(is_empty)
    messages = (await operator.message_page(room_id))["messages"]
    assert [m["text"] for m in messages if not m["attachments"]] == texts
    sent_files = [file["name"] for m in messages for file in m["attachments"]]
    assert sent_files == (["notes.txt"] if keeps_files else [])


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "beats"])
@pytest.mark.parametrize("storage", ["indexedDbStorage", "webStorage"])
async def test_a_living_tab_takes_over_what_a_closed_one_left_unsent(
    context: BrowserContext,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
    storage: str,
    *,
    locks: bool,
) -> None:
    """As soon as the tab is closed, not before; by one tab, each message once, in their order."""
    alice, bob = names
    if not locks:  # as over plain http to another machine
        await context.add_init_script("delete Navigator.prototype.locks")
    texts = [f"typed {n}" for n in range(5)]
    count = "(await entries('outbox')).length"
    async with Proxy(("127.0.0.1", port_of(dev_url))) as network:
        closing, early, late = [await visit(context, origin) for _ in range(3)]
        await connect(closing, alice, dev_url, f"http://127.0.0.1:{network.port}", storage)
        await connect(early, alice, dev_url, dev_url, storage)
        room_id = await run(closing, "return (await chat.direct(bob)).room_id", bob=bob)
        network.leave()
        await until(closing, "chat.connection.value.status !== 'online'")
        await run(
            closing,
            "for (const text of texts) chat.room(room_id).send({ text });"
            f"while ({count} < texts.length) await new Promise((on) => setTimeout(on, 20));",
            room_id=room_id,
            texts=texts,
        )
        await connect(late, alice, dev_url, dev_url, storage)
        await run(late, "const room = await chat.direct(bob); room.watch()", bob=bob)
        await until(late, "[...chat.rooms().value].length === 1")
        assert await run(late, f"return {count}") == len(texts)
        assert not (await operator.message_page(room_id))["messages"]
        await closing.close()

        async def is_empty() -> bool:
            return bool(await run(early, f"return {count} === 0"))

        await eventually(is_empty)
    messages = (await operator.message_page(room_id))["messages"]
    assert [m["text"] for m in messages] == texts


async def test_a_file_without_a_place_to_survive_is_refused_after_a_reload(
    context: BrowserContext, origin: str, dev_url: str, names: tuple[str, str]
) -> None:
    """localStorage keeps its caption: it is not sent without the file, and says why."""
    alice, bob = names
    async with Proxy(("127.0.0.1", port_of(dev_url))) as network:
        url = f"http://127.0.0.1:{network.port}"
        page = await visit(context, origin)
        await connect(page, alice, dev_url, url, "webStorage")
        room_id = await run(page, "return (await chat.direct(bob)).room_id", bob=bob)
        network.leave()
        await until(page, "chat.connection.value.status !== 'online'")
        await run(
            page,
            "chat.room(room_id).send({ text: 'see', files: [new File(['x'], 'x.txt')] })",
            room_id=room_id,
        )
        await page.reload()
        await until(page, "typeof chat === 'undefined' && document.title === 'page'")
        await network.listen()
        await connect(page, alice, dev_url, url, "webStorage")
        last = f"chat.room({json.dumps(room_id)}).state.value.messages.at(-1)"
        await until(page, f"{last}?.status === 'refused' && {last}.error.code === 'file_lost'")
        assert await page.evaluate(f"{last}.text") == "see"


async def test_an_upload_tells_how_far_it_is(
    context: BrowserContext, origin: str, dev_url: str, names: tuple[str, str]
) -> None:
    """`progress` of a message grows from 0 to 1 while its file is on its way."""
    alice, bob = names
    page = await visit(context, origin)
    await connect(page, alice, dev_url, dev_url)
    room_id = await run(page, "return (await chat.direct(bob)).room_id", bob=bob)
    await upload_slowly(page, 2_000_000)
    await run(
        page,
        "const room = chat.room(room_id); room.watch(); globalThis.told = [];"
        "room.state.subscribe(({ messages }) => { const { progress } = messages.at(-1) ?? {};"
        " if (progress !== undefined) told.push(progress); });"
        "room.send({ files: [new File([new Uint8Array(3e6)], 'long.bin')] })",
        room_id=room_id,
    )
    last = f"chat.room({json.dumps(room_id)}).state.value.messages.at(-1)"
    await until(page, f"{last}?.attachments.length === 1 && {last}.seq")
    told = await page.evaluate("told")
    assert told == sorted(told)
    assert 0 <= told[0] < 0.5
    assert len({part for part in told if 0 < part < 1}) >= 3


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, devtools_url: str) -> AsyncIterator[Page]:
    """A tab that can be frozen, which no visible one can: all others count as the one in front."""
    driver = await browser.browser_type.connect_over_cdp(devtools_url, no_defaults=True)
    driver.contexts[0].set_default_timeout(PATIENCE * 1000)
    async with await driver.contexts[0].new_page() as page:
        yield page


async def test_a_frozen_tab_finds_everything_when_it_is_thawed(
    tab: Page,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
) -> None:
    """The browser suspends it until the server takes it for gone; then nothing is missing."""
    alice, bob = names
    declared = await operator.room_declare(
        f"frozen-{bob}", name="Team", members=[{"user_id": alice}, {"user_id": bob}]
    )
    room_id = declared["room"]["room_id"]
    await tab.goto(origin)
    await connect(tab, bob, dev_url, dev_url)
    await run(
        tab,
        "chat.room(room_id).watch(); globalThis.told = [];"
        "chat.on('message.new', ({ data }) => told.push(data.message.message_id))",
        room_id=room_id,
    )
    await operator.message_send(room_id, text="before", on_behalf_of=alice)
    shown = f"chat.room({json.dumps(room_id)}).state.value.messages"
    await until(tab, f"{shown}.length === 1")
    devtools = await tab.context.new_cdp_session(tab)
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})

    async def is_gone() -> bool:
        return (await operator.presence_get(bob))["presence"]["state"] == "offline"

    await eventually(is_gone)
    for first in range(0, BURST, 20):
        sends = [
            operator.message_send(room_id, text=f"missed {n}", on_behalf_of=alice)
            for n in range(first, first + 20)
        ]
        await asyncio.gather(*sends)
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    await until(tab, f"{shown}.length === {BURST + 1}")
    texts = await tab.evaluate(f"{shown}.map((m) => m.text)")
    assert (texts[0], len(set(texts))) == ("before", BURST + 1)
    await until(tab, f"chat.unread.value.total === {BURST + 1}")
    told = await tab.evaluate("told")
    assert len(told) == len(set(told))
