"""What happens at the moment a chat opens, and while one begins to write."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import (
    BELOW,
    both_with_direct_room,
    direct,
    in_direct_room,
    opened,
    say,
    signed_in,
)
from tests.helpers.commands import ok
from tests.helpers.world import World, name


async def test_a_chat_opened_from_another_one_reads_only_what_is_visible(
    chromium: Chromium, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """Of 40 new messages those below the window stay unread, in the title and on the pill."""
    alice, bob = names
    page = await signed_in(chromium, dev_url, bob)
    async with world.js(alice) as a:
        created = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        room_id = created["room"]["room_id"]
        await direct(page, name("zoe"))
        for n in range(40):
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}\n" * 3}
            await ok(a, "message.send", message)
    await page.until("document.title.startsWith('(40)')")
    await page.js(f"location.hash = '{room_id}'")
    await opened(page, alice)
    await page.until("document.querySelector('#messages .divider')")
    await page.frame()
    await page.frame()
    await page.until("/^\\(([1-3]\\d|[1-9])\\)/.test(document.title)")
    assert await page.js(BELOW) > 1
    assert await page.js("document.querySelector('#pill.unread').checkVisibility()")


async def test_one_may_write_at_once(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The text field of a chat that opens has the focus, also after a reload."""
    page = await in_direct_room(chromium, dev_url, names)
    focused = "document.activeElement === document.querySelector('#compose textarea')"
    await page.until(focused)
    await page.call("Page.reload")
    await opened(page, names[1])
    await page.until(focused)


async def test_an_address_that_is_no_room_shows_the_list(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Not a chat that loads for ever."""
    page = await in_direct_room(chromium, dev_url, names)
    for address in ("%", "no room"):
        await page.js(f"location.hash = '{address}'")
        await page.until("document.querySelector('#nothing').checkVisibility()")
        await page.click("#rooms li button")
        await opened(page, names[1])


async def test_a_text_that_grows_hides_no_message(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The list stays at its end while the text field gets higher and lower, line by line."""
    first, _ = await both_with_direct_room(chromium, dev_url, names)
    await say(first, *(f"line {n}\n" * 8 for n in range(5)))
    await first.until("document.querySelector('#messages li:last-child .mark.queued')")
    await first.frame()
    assert await first.js("document.querySelector('#scroll').scrollTop") > 0
    for lines in (2, 5, 8, 3, 1):
        await first.js(
            "(field => { field.value = "
            f"Array({lines}).fill('text').join(String.fromCharCode(10));"
            " field.dispatchEvent(new Event('input', {bubbles: true})); })"
            "(document.querySelector('#compose textarea'))"
        )
        await first.frame()
        await first.frame()
        assert await first.js(BELOW) <= 1, lines


async def test_a_text_that_is_too_long_stays_and_the_user_is_told(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Nothing of it is cut; it is sent once it is short enough."""
    page = await in_direct_room(chromium, dev_url, names)
    await page.type("#compose textarea", "😀" + "x" * 4_000, enter=True)
    await page.until("document.querySelector('.toast')?.textContent.includes('4001')")
    assert await page.js("document.querySelector('#compose textarea').value.length") == 4_002
    await page.js(
        "(field => { field.value = '😀' + 'x'.repeat(3999);"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })"
        "(document.querySelector('#compose textarea'))"
    )
    await page.press("Enter", 13)
    await page.until("document.querySelector('#messages li p')?.textContent.length === 4001")


async def test_a_chat_that_cannot_be_made_leaves_the_open_one(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """What cannot be right is said in the form; what the server refuses, in the chat one was in."""
    page = await in_direct_room(chromium, dev_url, names)
    await page.click("#new")
    await page.type("#new-direct input", names[0], enter=True)
    await page.until(
        "document.querySelector('dialog .error').textContent.startsWith('That is you')"
    )
    await page.type("#new-group [name=name]", "   ", enter=True)
    await page.until(
        "document.querySelector('dialog .error').textContent.startsWith('Enter a name')"
    )
    await page.js("document.querySelector('#new-group [name=name]').value = ''")
    await page.type("#new-group [name=name]", "\u2066")  # by itself it is invisible
    await page.js("document.querySelector('#new-group').requestSubmit()")
    await page.until("document.querySelector('.toast')")
    await opened(page, names[1])


async def test_a_chat_whose_unread_messages_fit_opens_at_its_end(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """There is no button to the newest message, and the next one is followed and read."""
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await say(alice, "one", "two", "three")
    await bob.until("document.querySelector('#rooms .badge')?.textContent === '3'")
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    await bob.until("document.querySelector('#messages .divider')")
    await bob.until(f"document.querySelector('#rooms .badge').textContent === '' && {BELOW} <= 1")
    assert not await bob.js("document.querySelector('#pill').checkVisibility()")
    await say(alice, *(f"line {n}\n" * 8 for n in range(4)))
    await alice.until("document.querySelector('#messages li:last-child .mark.read')")
    assert await bob.js(BELOW) <= 1


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
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """From the first frame on: what is older is not seen for a moment."""
    page = await in_direct_room(chromium, dev_url, names)
    await say(page, *(f"line {n}\n" * 8 for n in range(8)))
    await page.until("document.querySelector('#messages li:last-child .mark.queued')")
    await page.call("Page.enable")
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=FRAMES)
    await page.call("Page.reload")
    await page.until("window.belows?.length > 2")
    belows = await page.js("belows")
    assert max(belows) <= 1, belows


async def test_messages_that_are_here_before_their_pane_are_begun_at_the_first_unread_one(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A server may answer before anything is drawn."""
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await say(alice, *(f"line {n}\n" * 8 for n in range(8)))
    await bob.until("document.querySelector('#rooms .badge')?.textContent === '8'")
    await bob.js(
        "window.soon = setTimeout, window.setTimeout ="
        " (work, ms, ...rest) => soon(work, ms === 16 ? 500 : ms, ...rest)"
    )
    await bob.click("#rooms li button")
    await bob.until("document.querySelector('#messages li:first-child .divider')")
    assert await bob.js(BELOW) > 500
