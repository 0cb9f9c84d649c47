"""What is typed and not sent."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import act, direct, group, online, opened, say, signed_in

TYPED = "document.querySelector('#compose textarea').value"


async def test_a_draft_belongs_to_its_room(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A draft stays with its room over a change of rooms, an edit, Escape and a reload."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await direct(alice, bob_id)
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
