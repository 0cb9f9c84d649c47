"""What is typed and not sent."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Chromium
from tests.browser.session import (
    act,
    both_with_direct_room,
    choose,
    group,
    in_direct_room,
    online,
    opened,
    say,
)
from tests.helpers.commands import ok
from tests.helpers.world import World

TYPED = "document.querySelector('#compose textarea').value"
LAST = "document.querySelector('#messages li:last-child')"
BANNER = "document.querySelector('#banner')"
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
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A draft stays with its room over a change of rooms, an edit, Escape and a reload."""
    bob_id = names[1]
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "helo")
    await alice.until("document.querySelector('#messages .mark.queued')")
    await alice.type("#compose textarea", "for bob")
    await group(alice, "Team")
    assert await alice.js(TYPED) == ""
    await alice.until("document.querySelector('#rooms .preview .accent')")

    await alice.js(
        f"[...document.querySelectorAll('#rooms button')]"
        f".find((one) => one.innerText.includes('{bob_id}')).click()"
    )
    await opened(alice, bob_id)
    assert await alice.js(TYPED) == "for bob"
    await act(alice, ".edit", "#messages li:first-child")
    assert await alice.js(TYPED) == "helo"
    assert await alice.js("document.querySelector('#banner').checkVisibility()")
    await alice.type("#compose textarea", "!")
    await alice.until(f"{TYPED} === 'helo!'")
    await alice.press("Escape", 27)
    await alice.until(
        f"{TYPED} === 'for bob' && !document.querySelector('#banner').checkVisibility()"
    )
    await alice.press("Escape", 27)
    assert await alice.js(TYPED) == "for bob"

    await alice.call("Page.reload")
    await online(alice)
    await opened(alice, bob_id)
    await alice.until(f"{TYPED} === 'for bob'")


async def test_what_a_draft_answers_and_its_files_survive_a_reload(
    chromium: Chromium, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Banner, file and text stand as before, go out as one message, and are gone then."""
    alice_id, bob_id = names
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await say(alice, "the question")
    await alice.until("document.querySelector('#messages .mark.delivered')")
    await act(alice, ".reply")
    await choose(alice, notes)
    await alice.type("#compose textarea", "the answer")
    await alice.until(f"{CHOSEN} === 'notes.txt 5 B'")
    assert await alice.promise(KEPT) == 2

    await alice.call("Page.reload")
    await online(alice)
    await opened(alice, bob_id)
    await alice.until(f"{BANNER}.innerText.includes('the question')")
    await alice.until(f"{CHOSEN} === 'notes.txt 5 B' && {TYPED} === 'the answer'")
    await alice.click("#compose .send")
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    last = "document.querySelector('#messages li:last-child')?.innerText"
    for part in ("the question", "notes.txt 5 B", "the answer"):
        await bob.until(f"{last}?.includes('{part}')")
    assert await alice.promise(KEPT) == 0
    assert await alice.js(CHOSEN) == ""
    assert not await alice.js(f"{BANNER}.checkVisibility()")


async def test_an_edit_survives_a_reload(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The text as it was typed by then, and the banner; Escape leads back to the draft."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "helo")
    await alice.until("document.querySelector('#messages .mark.queued')")
    await alice.type("#compose textarea", "draft")
    await act(alice, ".edit")
    await alice.type("#compose textarea", " all")
    await alice.until(f"{TYPED} === 'helo all'")
    assert await alice.promise(KEPT) == 1
    await alice.call("Page.reload")
    await opened(alice, names[1])
    await alice.until(f"{TYPED} === 'helo all' && {BANNER}.innerText.includes('helo')")
    await alice.js("document.querySelector('#compose textarea').focus()")
    await alice.press("Escape", 27)
    await alice.until(f"{TYPED} === 'draft' && !{BANNER}.checkVisibility()")


async def test_the_last_keystrokes_before_a_reload_are_kept(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Of a draft, an edit and a message that waits, however slow the disk is."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "helo")
    await alice.until("document.querySelector('#messages .mark.queued')")
    slow = "IDBObjectStore.prototype.put = IDBObjectStore.prototype.delete = () => ({})"
    await alice.js(slow)
    await alice.type("#compose textarea", "draft")
    await act(alice, ".edit")
    await alice.type("#compose textarea", " all")
    await alice.until(f"{TYPED} === 'helo all'")
    await alice.call("Page.reload")
    await opened(alice, names[1])
    await alice.until(f"{TYPED} === 'helo all'")
    await alice.js("document.querySelector('#compose textarea').focus()")
    await alice.press("Escape", 27)
    await alice.until(f"{TYPED} === 'draft'")
    await alice.until(
        "Object.keys(localStorage).filter((key) => key.includes('pending')).length === 0"
    )

    await alice.js(slow)
    await alice.js("WebSocket.prototype.send = () => undefined")
    await alice.js("document.querySelector('#compose textarea').select()")
    await say(alice, "sent")
    await alice.until("document.querySelector('#messages li:last-child .mark.sending')")
    await alice.call("Page.reload")
    await opened(alice, names[1])
    await alice.until(f"{LAST}?.innerText.includes('sent') && {LAST}.querySelector('.mark.queued')")
    assert await alice.js(TYPED) == ""


async def test_an_answer_to_what_is_far_away_shows_it(
    chromium: Chromium, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """In the draft, over a reload, and in the quote, though the message is not loaded then."""
    bob_id = names[1]
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "the question")
    await alice.until("document.querySelector('#messages .mark.queued')")
    room_id = await alice.js("location.hash.slice(1)")
    await act(alice, ".reply")
    async with world.js(bob_id) as bob:
        for n in range(60):
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}"}
            await ok(bob, "message.send", message)
    await alice.call("Page.reload")
    await opened(alice, bob_id)
    await alice.until(f"{LAST}?.innerText.includes('m59')")
    await alice.until(f"{BANNER}.innerText.includes('the question')")
    await say(alice, "the answer")
    quote = f"{LAST}?.querySelector('.quote')?.innerText"
    await alice.until(f"{quote} === 'You\\nthe question'")
    await alice.call("Page.reload")
    await opened(alice, bob_id)
    await alice.until(f"{quote} === 'You\\nthe question'")
