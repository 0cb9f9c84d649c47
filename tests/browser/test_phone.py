"""The page on a telephone: one pane, nothing off the screen."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import details, direct, say, signed_in

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
    await alice.js("history.back()")
    await alice.until("document.querySelector('#room').checkVisibility()")


async def test_the_way_back_of_the_browser_closes_the_details(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """One step back shows the chat, the next one the list; a close button leaves no step behind."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await alice.size(390, 844, touch=True)
    await direct(alice, bob_id)
    for close in (
        "history.back()",
        "document.querySelector('#details [data-action=close]').click()",
    ):
        await details(alice)
        await alice.js(close)
        await alice.until("!document.querySelector('#details').checkVisibility()")
        await alice.until("history.state === null")
        assert await alice.js("document.querySelector('#room').checkVisibility()")
    await alice.js("history.back()")
    await alice.until("document.querySelector('#sidebar').checkVisibility()")
