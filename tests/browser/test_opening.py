"""What happens at the moment a chat opens, and while one begins to write."""

from __future__ import annotations

import re

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    BELOW,
    both_with_direct_room,
    direct,
    frame,
    in_direct_room,
    opened,
    say,
    signed_in,
    until,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.world import World, name


async def test_a_chat_opened_from_another_one_reads_only_what_is_visible(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """Of 40 new messages those below the window stay unread, in the title and on the pill."""
    alice, bob = names
    page = await signed_in(context, dev_url, bob)
    async with world.js(alice) as a:
        created = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        room_id = created["room"]["room_id"]
        await direct(page, name("zoe"))
        for n in range(40):
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}\n" * 3}
            await ok(a, "message.send", message)
    await expect(page).to_have_title(re.compile(r"^\(40\)"))
    await page.evaluate(f"location.hash = '{room_id}'")
    await opened(page, alice)
    await expect(page.locator("#messages .divider").first).to_be_attached()
    await frame(page)
    await frame(page)
    await until(page, "/^\\(([1-3]\\d|[1-9])\\)/.test(document.title)")
    assert await page.evaluate(BELOW) > 1
    assert await page.is_visible("#pill.unread")


async def test_one_may_write_at_once(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The text field of a chat that opens has the focus, also after a reload."""
    page = await in_direct_room(context, dev_url, names)
    focused = "document.activeElement === document.querySelector('#compose textarea')"
    await until(page, focused)
    await page.reload()
    await opened(page, names[1])
    await until(page, focused)


async def test_an_address_that_is_no_room_shows_the_list(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Not a chat that loads for ever."""
    page = await in_direct_room(context, dev_url, names)
    for address in ("%", "no room"):
        await page.evaluate(f"location.hash = '{address}'")
        await expect(page.locator("#nothing")).to_be_visible()
        await page.click("#rooms li button")
        await opened(page, names[1])


async def test_a_text_that_grows_hides_no_message(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The list stays at its end while the text field gets higher and lower, line by line."""
    first, _ = await both_with_direct_room(context, dev_url, names)
    await say(first, *(f"line {n}\n" * 8 for n in range(5)))
    await until(first, "document.querySelector('#messages li:last-child .mark.queued')")
    await frame(first)
    assert await first.evaluate("document.querySelector('#scroll').scrollTop") > 0
    for lines in (2, 5, 8, 3, 1):
        await first.evaluate(
            "(field => { field.value = "
            f"Array({lines}).fill('text').join(String.fromCharCode(10));"
            " field.dispatchEvent(new Event('input', {bubbles: true})); })"
            "(document.querySelector('#compose textarea'))"
        )
        await frame(first)
        await frame(first)
        assert await first.evaluate(BELOW) <= 1, lines


async def test_a_text_that_is_too_long_stays_and_the_user_is_told(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Nothing of it is cut; it is sent once it is short enough."""
    page = await in_direct_room(context, dev_url, names)
    await write(page, "#compose textarea", "😀" + "x" * 4_000, enter=True)
    await expect(page.locator(".toast").first).to_contain_text("4001")
    assert await page.evaluate("document.querySelector('#compose textarea').value.length") == 4_002
    await page.evaluate(
        "(field => { field.value = '😀' + 'x'.repeat(3999);"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })"
        "(document.querySelector('#compose textarea'))"
    )
    await page.keyboard.press("Enter")
    await until(page, "document.querySelector('#messages li p')?.textContent.length === 4001")


async def test_a_chat_that_cannot_be_made_leaves_the_open_one(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """What cannot be right is said in the form; what the server refuses, in the chat one was in."""
    page = await in_direct_room(context, dev_url, names)
    await page.click("#new")
    await write(page, "#new-direct input", names[0], enter=True)
    await expect(page.locator("#new-direct .error")).to_have_text(re.compile(r"^That is you"))
    await write(page, "#new-group [name=name]", "   ", enter=True)
    await expect(page.locator("#new-group .error").first).to_have_text(re.compile(r"^Enter a name"))
    await page.evaluate("document.querySelector('#new-group [name=name]').value = ''")
    await write(page, "#new-group [name=name]", "\u2066")  # by itself it is invisible
    await page.evaluate("document.querySelector('#new-group').requestSubmit()")
    await expect(page.locator(".toast").first).to_be_attached()
    await opened(page, names[1])


async def test_a_chat_whose_unread_messages_fit_opens_at_its_end(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """There is no button to the newest message, and the next one is followed and read."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, "one", "two", "three")
    await expect(bob.locator("#rooms .badge").first).to_have_text("3")
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    await expect(bob.locator("#messages .divider").first).to_be_attached()
    await until(bob, f"document.querySelector('#rooms .badge').textContent === '' && {BELOW} <= 1")
    assert not await bob.is_visible("#pill")
    await say(alice, *(f"line {n}\n" * 8 for n in range(4)))
    await expect(alice.locator("#messages li:last-child .mark.read")).to_be_attached()
    assert await bob.evaluate(BELOW) <= 1


FRAMES = """
window.WebSocket = class extends WebSocket {
  set onmessage(take) {
    const isList = ({data}) => String(data).includes('"rooms":[');
    super.onmessage = (event) => setTimeout(() => take(event), isList(event) ? 300 : 0);
  }
};
window.belows = [];
const look = () => {
  const scroll = document.querySelector('#scroll');
  if (document.querySelector('#messages li'))
    belows.push(Math.round(scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight));
  requestAnimationFrame(() => setTimeout(look));
};
look();
"""
"""The list of rooms comes late. In each frame that shows messages: how much is below."""


async def test_a_chat_opens_where_one_reads(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """From the first frame on: what is older is not seen for a moment."""
    page = await in_direct_room(context, dev_url, names)
    await say(page, *(f"line {n}\n" * 8 for n in range(8)))
    await expect(page.locator("#messages li:last-child .mark.queued")).to_be_attached()
    await page.add_init_script(FRAMES)
    await page.reload()
    await until(page, "window.belows?.length > 2")
    belows = await page.evaluate("belows")
    assert max(belows) <= 1, belows


async def test_messages_that_are_here_before_their_pane_are_begun_at_the_first_unread_one(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A server may answer before anything is drawn."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, *(f"line {n}\n" * 8 for n in range(8)))
    await expect(bob.locator("#rooms .badge").first).to_have_text("8")
    await bob.evaluate(
        "window.soon = setTimeout, window.setTimeout ="
        " (work, ms, ...rest) => soon(work, ms === 16 ? 500 : ms, ...rest)"
    )
    await bob.click("#rooms li button")
    await expect(bob.locator("#messages li:first-child .divider")).to_be_attached()
    assert await bob.evaluate(BELOW) > 500
