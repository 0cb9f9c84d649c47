"""rts-chat in a real browser: what survives a reload, and what another tab takes over."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import BrowserContext

from rts_chat import AsyncRestClient
from tests.browser.package_page import connect, port_of, run
from tests.browser.session import until, visit
from tests.helpers.proxy import Proxy
from tests.helpers.waiting import eventually

BEGUN_TWICE = """
const rts = await import("/rts-chat.min.js");
globalThis.told = [];
globalThis.chat = rts.createClient({
  url: location.origin,
  getToken: () => new Promise(() => undefined),
  userId,
  storage: rts.indexedDbStorage(),
  logger: { warn: (...what) => told.push(what.map(String).join(" ")) },
});
chat.connect();
chat.close();
chat.connect();
"""
"""As React begins a component in its strict mode; there is no token."""


@pytest.mark.parametrize("storage", ["indexedDbStorage", "webStorage", "localStorage"])
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


@pytest.mark.parametrize("storage", ["indexedDbStorage", "webStorage"])
async def test_a_change_made_offline_survives_a_reload(
    context: BrowserContext,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
    storage: str,
) -> None:
    """An edit and a reaction stand in the state again, and reach the server once there is one."""
    alice, bob = names
    async with Proxy(("127.0.0.1", port_of(dev_url))) as network:
        url = f"http://127.0.0.1:{network.port}"
        page = await visit(context, origin)
        await connect(page, alice, dev_url, url, storage)
        room_id = await run(
            page,
            "const room = await chat.direct(bob); room.watch(); room.send({ text: 'first' });"
            "return room.room_id",
            bob=bob,
        )
        first = f"chat.room({json.dumps(room_id)}).state.value.messages[0]"
        await until(page, f"{first}?.message_id && {first}.status !== 'sending'")
        network.leave()
        await until(page, "chat.connection.value.status !== 'online'")
        await run(
            page,
            "const room = chat.room(room_id); const [{ message_id }] = room.state.value.messages;"
            "for (const made of [room.edit(message_id, { text: 'better' }),"
            " room.react(message_id, '👍')]) made.catch(() => undefined);"
            "while ((await entries('change')).length < 2)"
            " await new Promise((on) => setTimeout(on, 20));",
            room_id=room_id,
        )
        await page.reload()
        await until(page, "typeof chat === 'undefined' && document.title === 'page'")
        await network.listen()
        await connect(page, alice, dev_url, url, storage)
        await run(page, "chat.room(room_id).watch()", room_id=room_id)
        await until(page, f"{first}?.text === 'better' && !{first}.pending")
        await until(page, f"{first}.reactions['👍']?.count === 1")

        async def is_empty() -> bool:
            return bool(await run(page, "return (await entries('change')).length === 0"))

        await eventually(is_empty)
    (message,) = (await operator.message_page(room_id))["messages"]
    assert (message["text"], list(message["reactions"])) == ("better", ["👍"])


async def test_a_refused_message_is_not_sent_again_by_a_reload(
    context: BrowserContext,
    origin: str,
    operator: AsyncRestClient,
    dev_url: str,
    names: tuple[str, str],
) -> None:
    """It stands as refused, with its reason, where the room would take it by now; retry works."""
    alice, bob = names
    declared = await operator.room_declare(
        f"refused-{bob}", name="Team", members=[{"user_id": alice}]
    )
    room_id = declared["room"]["room_id"]
    await operator.room_update(room_id, frozen=True)
    messages = f"chat.room({json.dumps(room_id)}).state.value.messages"
    late = f"{messages}.find(({{ text }}) => text === 'too late')"
    page = await visit(context, origin)
    await connect(page, alice, dev_url, dev_url, "webStorage")
    await run(page, "chat.room(room_id).send({ text: 'too late' })", room_id=room_id)
    await until(page, f"{late}?.status === 'refused'")
    code = await page.evaluate(f"{late}.error.code")
    await operator.room_update(room_id, frozen=False)
    await page.reload()
    await until(page, "typeof chat === 'undefined' && document.title === 'page'")
    await connect(page, alice, dev_url, dev_url, "webStorage")
    await run(page, "chat.room(room_id).watch()", room_id=room_id)
    await until(page, late)
    await run(
        page, "await chat.room(room_id).react('none', '👍').catch(() => undefined)", room_id=room_id
    )
    assert await page.evaluate(f"[{late}.status, {late}.error.code]") == ["refused", code]
    await page.evaluate(f"{late}.retry()")
    await until(page, f"{late}.seq && {late}.status === 'queued'")


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


async def test_a_client_that_begins_twice_in_one_turn_shows_what_an_earlier_page_left(
    context: BrowserContext, origin: str, names: tuple[str, str]
) -> None:
    """Also before there is any token, and without a word to the logger."""
    page = await visit(context, origin)
    await run(page, BEGUN_TWICE + "chat.room('r').send({ text: 'kept' })", userId=names[0])
    await page.reload()
    await run(page, BEGUN_TWICE, userId=names[0])
    await until(page, "chat.room('r').state.value.messages[0]?.text === 'kept' || told.length")
    assert await page.evaluate("told") == []
