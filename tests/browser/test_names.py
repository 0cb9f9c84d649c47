"""Where the page shows users, it shows their names."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium
from tests.browser.session import act, direct, group, opened, say, signed_in
from tests.helpers.rest import Rest
from tests.helpers.world import World

LAST = "document.querySelector('#messages li:last-child')"


async def test_a_new_name_is_shown_wherever_the_id_was(
    chromium: Chromium, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """In lists, titles, mentions and the line about who types, and to the user themself."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await group(alice, "Team", bob_id)
    await say(alice, f"for @{bob_id} there")
    await alice.click("#rooms li:last-child button")
    await opened(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await say(bob, "here")
    titles = "[...document.querySelectorAll('#rooms .title')].map((one) => one.textContent)"
    said = "document.querySelector('#rooms .preview').textContent"
    await alice.until(f"{said} === {json.dumps(f'{bob_id}: here')}")

    async with Rest(world.urls[0], world.token("ops", scope="operator")) as ops:
        await ops.ok("PATCH", f"/v1/users/{bob_id}", {"name": "Bob B."})
    await alice.until(f"{titles}.join() === 'Team,Bob B.' && {said} === 'Bob B.: here'")
    await opened(alice, "Bob B.")
    await bob.until("document.querySelector('#me').textContent === 'Bob B.'")
    await alice.click("#rooms li button")
    await opened(alice, "Team")
    await alice.until("document.querySelector('.mention')?.textContent === '@Bob B.'")
    await alice.until(f"{LAST}.querySelector('.bubble .name').textContent === 'Bob B.'")
    await bob.type("#compose textarea", "typing")
    await alice.until("document.querySelector('#typing').textContent === 'Bob B. is typing …'")
    await alice.type("#compose textarea", "@")
    await alice.until("document.querySelector('#suggestions li')?.innerText.endsWith('Bob B.')")
    await alice.press("Escape", 27)
    await act(alice, ".reply")
    await alice.until("document.querySelector('#banner strong').textContent.includes('Bob B.')")
