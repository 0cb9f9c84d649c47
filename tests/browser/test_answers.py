"""How the page answers at once, and in words, to what one asks."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium
from tests.browser.session import (
    act,
    both_with_direct_room,
    details,
    group,
    in_direct_room,
    online,
    opened,
    say,
    signed_in,
)

BREAKABLE = """
window.sockets = [];
window.asked = 0;
window.realFetch = fetch;
window.fetch = (...parts) => (asked += 1, realFetch(...parts));
window.Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(...parts) {
    super(...(window.isCut ? ['ws://nowhere.invalid/'] : parts));
    sockets.push(this);
  }
};
"""
# A click while a try is on its way asks for nothing: then cut it, and click again.
TRIES_NOW = """(button, before) => {
  window.isCut = false;
  button?.click();
  window.isCut = asked === before;
  return !isCut;
}"""
TOAST = "document.querySelector('.toast span')?.textContent"


async def test_a_new_chat_opens_at_once(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The room stands under its name before the server has answered."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.click("#new")
    await alice.type("#new-direct input", bob_id)
    await alice.js(
        "document.querySelector('#new-direct').requestSubmit(),"
        "new MutationObserver((_, seen) => {"
        "  if (document.querySelector('#room').hidden) return;"
        "  window.first ??= document.querySelector('#title').textContent"
        "    + ' ' + document.querySelector('#members').textContent;"
        "}).observe(document.body, {subtree: true, attributes: true, childList: true})"
    )
    await opened(alice, bob_id)
    assert await alice.js("first") == f"{bob_id} Opening …"


async def test_refusals_are_shown_as_sentences(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Adding twice, an unusable name and the last owner: each is told, or asked."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await group(alice, "Team", bob_id)
    await details(alice)
    await alice.type("#add-member input", bob_id, enter=True)
    await alice.until(f"{TOAST} === '{bob_id} is a member already.'")
    await alice.js("document.querySelector('#rename input').select()")
    await alice.type("#rename input", "Crew", enter=True)
    await opened(alice, "Crew")
    await alice.click("#leave")
    await alice.until("document.querySelector('#leave-form select').checkVisibility()")
    assert await alice.js("document.querySelector('#leave-form select').value") == bob_id
    await alice.click("#leave-form .danger")
    await alice.until("document.querySelectorAll('#rooms li').length === 0")

    bob = await signed_in(chromium, dev_url, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Crew")
    await details(bob)
    await bob.until("document.querySelector('#people .role').textContent === 'Owner'")


async def test_delete_can_be_undone(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A deleted message comes back by Undo, and goes once the offer ends."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "keep me")
    await alice.until("document.querySelector('#messages .mark.queued')")
    await act(alice, ".remove")
    await alice.until("document.querySelector('#messages .deleted')")
    await alice.click(".toast [data-action=act]")
    await alice.until("document.querySelector('#messages .bubble p')?.textContent === 'keep me'")
    assert not await alice.js("document.querySelector('#messages .deleted')")


async def test_a_lost_connection_is_shown(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A bar counts down and tries now if told so; nobody stays online; what is written waits."""
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await alice.call("Page.enable")
    await alice.call("Page.addScriptToEvaluateOnNewDocument", source=BREAKABLE)
    await alice.call("Page.reload")
    await alice.until("window.sockets?.length")
    await online(alice)
    await alice.until("document.querySelector('#members').textContent === 'Online'")
    await alice.js("window.isCut = true, sockets.forEach((socket) => socket.close())")
    await alice.until("document.querySelector('#bar').checkVisibility()")
    assert await alice.js("document.querySelector('#members').textContent") == ""
    await alice.until("/Trying again in [0-9]+ s/.test(document.querySelector('#bar').innerText)")
    await say(alice, "waits")
    await alice.until("document.querySelector('#messages .mark.sending')")
    await alice.until("document.querySelector('#rooms .preview').textContent === 'Sending waits'")
    await alice.until(
        f"({TRIES_NOW})(document.querySelector('#bar [data-action=reconnect]'), asked)"
    )
    await alice.until("!document.querySelector('#bar').checkVisibility()")
    await bob.until("document.querySelector('#rooms .badge')?.textContent === '1'")


async def test_open_room_and_sign_out(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A reload keeps the open room; signing out leads to the first view."""
    bob_id = names[1]
    alice = await in_direct_room(chromium, dev_url, names)
    await alice.call("Page.reload")
    await online(alice)
    await opened(alice, bob_id)
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    await alice.until("document.querySelector('#sign-in')")


async def test_an_unusable_name_asks_for_no_token(chromium: Chromium, dev_url: str) -> None:
    """`?user=has space` is refused by the page itself, in words, without a request."""
    page = await chromium.open(f"{dev_url}/?user=has%20space")
    await page.until("document.querySelector('#sign-in-error')?.textContent.includes('spaces')")
    asked = "performance.getEntriesByType('resource').filter(({name}) => name.includes('token'))"
    assert await page.js(f"{asked}.length") == 0


async def test_an_emoji_is_never_cut(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A preview ends at a whole character, also among emoji of several code points."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "👩‍👩‍👧‍👦" * 120)
    await alice.until("document.querySelector('#rooms .preview').textContent.startsWith('You: 👩')")
    preview = await alice.js("document.querySelector('#rooms .preview').textContent")
    said = preview.removeprefix("You: ").removesuffix("…")
    assert said, json.dumps(preview)
    assert said.replace("👩‍👩‍👧‍👦", "") == ""
