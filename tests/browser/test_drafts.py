"""What is typed and not sent."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import act, group, in_direct_room, online, opened, say

TYPED = "document.querySelector('#compose textarea').value"


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
