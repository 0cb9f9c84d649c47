"""The page on a telephone: one pane, nothing off the screen."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import details, direct, opened, say, signed_in

FITS = "document.documentElement.scrollWidth <= innerWidth"
INSIDE = (
    "(({left, right, top, bottom}) => left >= 0 && top >= 0 && right <= innerWidth"
    " && bottom <= innerHeight)(document.querySelector('%s').getBoundingClientRect())"
)
SMALL = """
[...document.querySelectorAll('button, select, input, textarea, summary')]
  .filter((node) => node.checkVisibility() && node.type !== 'file')
  .filter((node) => {
    const {height, width} = node.getBoundingClientRect();
    return height < 44 || width < 44;
  })
  .map((node) => node.outerHTML)
"""


async def test_one_pane_is_shown_below_700_px(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """At 390 × 844 there is the list, then the room with a way back; targets have 44 px."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.size(390, 844, touch=True)
    await direct(alice, bob_id)
    await say(alice, "hello " + "long" * 40)
    await alice.until("document.querySelector('#messages .mark.queued')")
    assert await alice.js(FITS)
    assert not await alice.js("document.querySelector('#sidebar').checkVisibility()")
    for part in ("#compose .send", "#compose textarea", "#back", "#title"):
        assert await alice.js(INSIDE % part), part
    assert not (found := await alice.js(SMALL)), found
    await details(alice)
    assert await alice.js(FITS)
    assert not (found := await alice.js(SMALL)), found
    await alice.click("#details [data-action=close]")

    await alice.click("#back")
    await alice.until("document.querySelector('#sidebar').checkVisibility()")
    assert not await alice.js("document.querySelector('#room').checkVisibility()")
    assert await alice.js(FITS)
    assert not (found := await alice.js(SMALL)), found


LIST, ROOM, DETAILS = (
    f"document.querySelector('{part}').checkVisibility()"
    for part in ("#sidebar", "#room", "#details")
)
STEP = "navigation.currentEntry.index"


async def test_the_way_back_of_the_browser_leads_to_no_view_that_was_left(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Details, chat, list; whatever closes one takes its step away, and a reload keeps it."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.size(390, 844, touch=True)
    first = await alice.js(STEP)
    await direct(alice, bob_id)
    for leave in (
        "history.back()",
        "document.querySelector('#details [data-action=close]').click()",
    ):
        await details(alice)
        await alice.js(leave)
        await alice.until(f"!{DETAILS} && {STEP} === {first + 1}")
        assert await alice.js(ROOM)
    await details(alice)
    await alice.call("Page.reload")
    await alice.until(f"document.querySelector('#details') && {DETAILS}")
    await alice.js("history.back()")
    await alice.until(f"!{DETAILS} && {ROOM}")
    for leave in ("history.back()", "document.querySelector('#back').click()"):
        await alice.js(leave)
        await alice.until(f"{LIST} && {STEP} === {first}")
        await alice.click("#rooms button")
        await alice.until(f"{ROOM} && {STEP} === {first + 1}")
    await details(alice)
    await alice.click("#hide")
    await alice.until(f"{LIST} && {STEP} === {first}")


async def test_a_chat_that_was_opened_by_its_address_gives_its_step_to_the_list(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """There is no list below it to go back to."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.size(390, 844, touch=True)
    await direct(alice, bob_id)
    room_id = await alice.js("location.hash")
    page = await signed_in(chromium, dev_url, f"{alice_id}{room_id}")
    await page.size(390, 844, touch=True)
    first = await page.js(STEP)
    await opened(page, bob_id)
    await details(page)
    await page.click("#hide")
    await page.until(f"{LIST} && {STEP} === {first} && location.hash === ''")
    await page.click(".toast [data-action=act]")
    await page.until(ROOM)


async def test_enter_breaks_the_line_where_one_types_with_fingers(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The button sends."""
    alice = await signed_in(chromium, dev_url, names[0])
    await alice.size(390, 844, touch=True)
    await direct(alice, names[1])
    await alice.type("#compose textarea", "one", enter=True)
    await alice.type("#compose textarea", "two")
    await alice.until("document.querySelector('#compose textarea').value === 'one\\ntwo'")
    await alice.click("#compose .send")
    sent = "[...document.querySelectorAll('#messages p')].map((one) => one.textContent).join('|')"
    await alice.until(f"{sent} === 'one\\ntwo'")
