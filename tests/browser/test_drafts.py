"""What is typed and not sent."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    both_with_direct_room,
    choose,
    group,
    in_direct_room,
    online,
    opened,
    say,
    until,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.waiting import eventually
from tests.helpers.world import World

LAST = "document.querySelector('#messages li:last-child')"
CHOSEN = "[...document.querySelectorAll('#chosen .chip > span')].map((one) => one.innerText).join()"
KEPT = """
new Promise((done) => {
  const opening = indexedDB.open('rts-web');
  opening.onsuccess = () => {
    const entries = opening.result.transaction('entries').objectStore('entries').getAllKeys();
    entries.onsuccess = () => done(entries.result.length);
  };
})
"""
"""What the browser keeps of drafts, once everything before is written."""


async def test_a_draft_belongs_to_its_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A draft stays with its room over a change of rooms, an edit, Escape and a reload."""
    bob_id = names[1]
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "helo")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await write(alice, "#compose textarea", "for bob")
    await group(alice, "Team")
    assert await alice.input_value("#compose textarea") == ""
    await expect(alice.locator("#rooms .preview .accent").first).to_be_attached()

    await alice.click(f"#rooms button:has-text('{bob_id}')")
    await opened(alice, bob_id)
    assert await alice.input_value("#compose textarea") == "for bob"
    await act(alice, ".edit", "#messages li:first-child")
    assert await alice.input_value("#compose textarea") == "helo"
    assert await alice.is_visible("#banner")
    await write(alice, "#compose textarea", "!")
    await expect(alice.locator("#compose textarea")).to_have_value("helo!")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#compose textarea")).to_have_value("for bob")
    await expect(alice.locator("#banner")).to_be_hidden()
    await alice.keyboard.press("Escape")
    assert await alice.input_value("#compose textarea") == "for bob"

    await alice.reload()
    await online(alice)
    await opened(alice, bob_id)
    await expect(alice.locator("#compose textarea")).to_have_value("for bob")


async def test_what_a_draft_answers_and_its_files_survive_a_reload(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Banner, file and text stand as before, go out as one message, and are gone then."""
    alice_id, bob_id = names
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, "the question")
    await expect(alice.locator("#messages .mark.delivered").first).to_be_attached()
    await act(alice, ".reply")
    await choose(alice, notes)
    await write(alice, "#compose textarea", "the answer")
    await until(alice, f"{CHOSEN} === 'notes.txt 5 B'")
    assert await alice.evaluate(KEPT) == 2

    await alice.reload()
    await online(alice)
    await opened(alice, bob_id)
    await expect(alice.locator("#banner")).to_contain_text("the question")
    await until(alice, f"{CHOSEN} === 'notes.txt 5 B'")
    await expect(alice.locator("#compose textarea")).to_have_value("the answer")
    await alice.click("#compose .send")
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    last = "document.querySelector('#messages li:last-child')?.innerText"
    for part in ("the question", "notes.txt 5 B", "the answer"):
        await until(bob, f"{last}?.includes('{part}')")
    assert await alice.evaluate(KEPT) == 0
    assert await alice.evaluate(CHOSEN) == ""
    assert not await alice.is_visible("#banner")


async def test_an_edit_survives_a_reload(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The text as it was typed by then, and the banner; Escape leads back to the draft."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "helo")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await write(alice, "#compose textarea", "draft")
    await act(alice, ".edit")
    await write(alice, "#compose textarea", " all")
    await expect(alice.locator("#compose textarea")).to_have_value("helo all")
    assert await alice.evaluate(KEPT) == 1
    await alice.reload()
    await opened(alice, names[1])
    await expect(alice.locator("#compose textarea")).to_have_value("helo all")
    await expect(alice.locator("#banner")).to_contain_text("helo")
    await alice.focus("#compose textarea")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#compose textarea")).to_have_value("draft")
    await expect(alice.locator("#banner")).to_be_hidden()


async def test_the_last_keystrokes_before_a_reload_are_kept(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Of a draft, an edit and a message that waits, however slow the disk is."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "helo")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    slow = "IDBObjectStore.prototype.put = IDBObjectStore.prototype.delete = () => ({})"
    await alice.evaluate(slow)
    await write(alice, "#compose textarea", "draft")
    await act(alice, ".edit")
    await write(alice, "#compose textarea", " all")
    await expect(alice.locator("#compose textarea")).to_have_value("helo all")
    await alice.reload()
    await opened(alice, names[1])
    await expect(alice.locator("#compose textarea")).to_have_value("helo all")
    await alice.focus("#compose textarea")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#compose textarea")).to_have_value("draft")
    await until(
        alice, "Object.keys(localStorage).filter((key) => key.includes('pending')).length === 0"
    )

    await alice.evaluate(slow)
    await alice.evaluate("WebSocket.prototype.send = () => undefined")
    await alice.evaluate("document.querySelector('#compose textarea').select()")
    await say(alice, "sent")
    await until(alice, "document.querySelector('#messages li:last-child .mark.sending')")
    await alice.reload()
    await opened(alice, names[1])
    await until(
        alice, f"{LAST}?.innerText.includes('sent') && {LAST}.querySelector('.mark.queued')"
    )
    assert await alice.input_value("#compose textarea") == ""


async def has_read(client: JsClient, room_id: str, user_id: str, seq: int) -> bool:
    """Whether a member has read a room up to a seq."""
    cursors = (await ok(client, "receipt.list", {"room_id": room_id}))["receipts"]
    return any(one["user_id"] == user_id and one["read_seq"] >= seq for one in cursors)


async def test_an_answer_to_what_is_far_away_shows_it(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """In the draft, over a reload, and in the quote, though the message is not loaded then."""
    bob_id = names[1]
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "the question")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    room_id = await alice.evaluate("location.hash.slice(1)")
    await act(alice, ".reply")
    async with world.js(bob_id) as bob:
        for n in range(60):
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}"}
            await ok(bob, "message.send", message)
        await bob.join("/receipts")
        # The page opens at the first unread message, so all must be read before the reload.
        await eventually(lambda: has_read(bob, room_id, names[0], 61))
    await alice.reload()
    await opened(alice, bob_id)
    await until(alice, f"{LAST}?.innerText.includes('m59')")
    await expect(alice.locator("#banner")).to_contain_text("the question")
    await say(alice, "the answer")
    quote = f"{LAST}?.querySelector('.quote')?.innerText.endsWith('You\\nthe question')"
    await until(alice, quote)
    await alice.reload()
    await opened(alice, bob_id)
    await until(alice, quote)
