"""How the page answers at once, and in words, to what one asks."""

from __future__ import annotations

import json
import re

from playwright.async_api import BrowserContext, Route, expect

from tests.browser.session import (
    PHONE,
    act,
    both_with_direct_room,
    details,
    in_direct_room,
    in_group_details,
    online,
    opened,
    say,
    signed_in,
    until,
    visit,
    write,
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


async def test_a_new_chat_opens_at_once(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The room stands under its name before the server has answered."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    await alice.click("#new")
    await write(alice, "#new-direct input", bob_id)
    await alice.evaluate(
        "document.querySelector('#new-direct').requestSubmit(),"
        "new MutationObserver((_, seen) => {"
        "  if (document.querySelector('#room').hidden) return;"
        "  window.first ??= document.querySelector('#title').textContent"
        "    + ' ' + document.querySelector('#members').textContent;"
        "}).observe(document.body, {subtree: true, attributes: true, childList: true})"
    )
    await opened(alice, bob_id)
    assert await alice.evaluate("first") == f"{bob_id} Opening …"


async def test_refusals_are_shown_as_sentences(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Adding twice, an unusable name and the last owner: each is told, or asked."""
    _, bob_id = names
    alice = await in_group_details(context, dev_url, names)
    await write(alice, "#add-member input", bob_id, enter=True)
    said = f"{bob_id} is a member already."
    await expect(alice.locator("#add-member [role=alert]")).to_have_text(said)
    await alice.fill("#rename input", "Crew")
    await alice.press("#rename input", "Enter")
    await opened(alice, "Crew")
    await alice.click("#leave")
    await expect(alice.locator("#leave-form select").first).to_be_visible()
    assert await alice.input_value("#leave-form select") == bob_id
    await alice.click("#leave-form .danger")
    await expect(alice.locator("#rooms li")).to_have_count(0)

    bob = await signed_in(context, dev_url, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Crew")
    await details(bob)
    await expect(bob.locator("#people .role").first).to_have_text("Owner")


async def test_delete_can_be_undone(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A deleted message comes back by Undo, and goes once the offer ends."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "keep me")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await act(alice, ".remove")
    await expect(alice.locator("#messages .deleted").first).to_be_attached()
    await alice.click(".toast [data-action=act]")
    await expect(alice.locator("#messages .bubble p").first).to_have_text("keep me")
    assert not await alice.evaluate("document.querySelector('#messages .deleted')")


async def test_a_lost_connection_is_shown(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A bar counts down and tries now if told so; nobody stays online; what is written waits."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await alice.add_init_script(BREAKABLE)
    await alice.reload()
    await until(alice, "window.sockets?.length")
    await online(alice)
    await expect(alice.locator("#members")).to_have_text("Online")
    await alice.evaluate("window.isCut = true, sockets.forEach((socket) => socket.close())")
    await expect(alice.locator("#bar")).to_be_visible()
    assert await alice.inner_text("#members") == ""
    await until(alice, "/Trying again in [0-9]+ s/.test(document.querySelector('#bar').innerText)")
    await say(alice, "waits")
    await until(alice, "document.querySelector('#messages .mark.sending')")
    await expect(alice.locator("#rooms .preview").first).to_have_text("waits")
    await until(
        alice, f"({TRIES_NOW})(document.querySelector('#bar [data-action=reconnect]'), asked)"
    )
    await expect(alice.locator("#bar")).to_be_hidden()
    await expect(bob.locator("#rooms .badge").first).to_have_text("1")


async def test_without_a_room_the_list_tells_why_there_is_no_connection(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """No token, or one that the server refuses, in words, with a button; on a telephone too."""
    page = await context.new_page()
    answers = {"status": 500, "body": "{}"}

    async def answer(route: Route) -> None:
        await route.fulfill(**answers)  # type: ignore[arg-type]

    await page.route("**/dev/token*", answer)
    await page.goto(f"{dev_url}/?user={names[0]}")
    bar = page.locator("#list-bar")
    await expect(bar).to_contain_text("Signing in failed: the server answered 500. Messages wait")
    answers |= {"status": 200, "body": '{"token": "a.b.c"}'}
    await bar.locator("button").click()
    await expect(bar).to_contain_text(
        re.compile(r"Signed out by the server: You are not signed in any more\. \(The token .+\)")
    )
    await expect(page.locator("#room-lists .skeleton")).to_be_hidden()  # nothing is on its way
    await page.set_viewport_size(PHONE)
    await expect(bar).to_be_visible()
    await page.unroute("**/dev/token*")
    await bar.locator("button").click()
    await online(page)
    await expect(bar).to_be_hidden()


async def test_open_room_and_sign_out(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A reload keeps the open room; signing out leads to the first view."""
    bob_id = names[1]
    alice = await in_direct_room(context, dev_url, names)
    await alice.reload()
    await online(alice)
    await opened(alice, bob_id)
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    await expect(alice.locator("#sign-in")).to_be_attached()


async def test_an_unusable_name_asks_for_no_token(context: BrowserContext, dev_url: str) -> None:
    """`?user=has space` is refused by the page itself, in words, without a request."""
    page = await visit(context, f"{dev_url}/?user=has%20space")
    await expect(page.locator("#sign-in-error")).to_contain_text("spaces")
    asked = "performance.getEntriesByType('resource').filter(({name}) => name.includes('token'))"
    assert await page.evaluate(f"{asked}.length") == 0


async def test_an_emoji_is_never_cut(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A preview ends at a whole character, also among emoji of several code points."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "👩‍👩‍👧‍👦" * 120)
    await expect(alice.locator("#rooms .preview").first).to_have_text(re.compile(r"^You: 👩"))
    preview = await alice.inner_text("#rooms .preview")
    said = preview.removeprefix("You: ").removesuffix("…")
    assert said, json.dumps(preview)
    assert said.replace("👩‍👩‍👧‍👦", "") == ""
