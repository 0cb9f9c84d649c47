"""rts-chat in a real browser: a window without the focus, uploads, a tab that is frozen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from rts_chat import AsyncRestClient
from tests.browser.package_page import connect, run
from tests.browser.session import until, upload_slowly, visit
from tests.helpers.waiting import PATIENCE, eventually

BURST = 320
"""More than a reconnect replays: the room begins anew."""


async def test_what_nobody_looks_at_is_not_read(
    context: BrowserContext,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
) -> None:
    """A page that marks each message at once: without the focus they count when it comes back."""
    alice, bob = names
    declared = await operator.room_declare(
        f"unseen-{bob}", name="Team", members=[{"user_id": alice}, {"user_id": bob}]
    )
    room_id = declared["room"]["room_id"]
    page = await visit(context, origin)
    await connect(page, bob, dev_url, dev_url)
    await run(
        page,
        "const room = chat.room(room_id); globalThis.stop = room.watch();"
        "room.state.subscribe(({ messages }) => room.markVisible(messages.at(-1)?.seq ?? 0));"
        "globalThis.last = () => room.state.value.messages.at(-1)?.text;"
        "globalThis.unread = () => room.state.value.unread",
        room_id=room_id,
    )

    async def says(text: str) -> int:
        sent = await operator.message_send(room_id, text=text, on_behalf_of=alice)
        await until(page, f"last() === {json.dumps(text)}")
        return sent["seq"]

    await says("seen")
    await until(page, "unread() === 0")
    # A page in a driven browser always has the focus, and is always visible.
    await page.evaluate("document.hasFocus = () => false")
    await says("behind another window")
    await says("and one more")
    assert await page.evaluate("unread()") == 2
    await page.evaluate("dispatchEvent(new Event('focus'))")
    assert await page.evaluate("unread()") == 2
    await page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
    await until(page, "unread() === 0")
    hidden = "{ value: 'hidden', configurable: true }"
    hide = f"Object.defineProperty(document, 'visibilityState', {hidden})"
    await page.evaluate(hide)
    last = await says("in a tab behind")
    assert await page.evaluate("unread()") == 1
    shown = "delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))"
    await page.evaluate(shown)
    await until(page, "unread() === 0")

    async def is_told() -> bool:
        members = (await operator.member_page(room_id))["members"]
        return {m["user_id"]: m["read_seq"] for m in members}[bob] == last

    await eventually(is_told)
    await page.evaluate(hide)
    await says("in a room that is left meanwhile")
    await page.evaluate(f"stop(); {shown}")
    assert await page.evaluate("unread()") == 1


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


async def test_a_text_waits_for_the_file_before_it(
    context: BrowserContext, origin: str, dev_url: str, names: tuple[str, str]
) -> None:
    """However long that takes: others see both in the order of typing."""
    alice, bob = names
    page = await visit(context, origin)
    await connect(page, alice, dev_url, dev_url)
    room_id = await run(page, "return (await chat.direct(bob)).room_id", bob=bob)
    await upload_slowly(page, 2_000_000)
    await run(
        page,
        "const room = chat.room(room_id); room.watch();"
        "room.send({ files: [new File([new Uint8Array(3e6)], 'long.bin')] });"
        "room.send({ text: 'the file above' })",
        room_id=room_id,
    )
    reader = await visit(context, origin)
    await connect(reader, bob, dev_url, dev_url)
    await run(reader, "chat.room(room_id).watch()", room_id=room_id)
    shown = f"chat.room({json.dumps(room_id)}).state.value.messages"
    for one in (page, reader):
        await until(one, f"{shown}.filter(({{ seq }}) => seq).length === 2")
        types = await one.evaluate(f"{shown}.map(({{ type, text }}) => type + text)")
        assert types == ["file", "textthe file above"]


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
