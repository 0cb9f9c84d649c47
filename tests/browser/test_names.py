"""Where the page shows users, it shows their names."""

from __future__ import annotations

import json
import re

from playwright.async_api import BrowserContext, expect

from tests.browser.session import act, direct, group, opened, say, signed_in, until, write
from tests.helpers.rest import Rest
from tests.helpers.world import World

LAST = "document.querySelector('#messages li:last-child')"


async def test_a_new_name_is_shown_wherever_the_id_was(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """In lists, titles, mentions and the line about who types, and to the user themself."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
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
    await until(alice, f"{said} === {json.dumps(f'{bob_id}: here')}")

    async with Rest(world.urls[0], world.token("ops", scope="operator")) as ops:
        await ops.ok("PATCH", f"/v1/users/{bob_id}", {"name": "Bob B."})
    await until(alice, f"{titles}.join() === 'Team,Bob B.' && {said} === 'Bob B.: here'")
    await opened(alice, "Bob B.")
    await expect(bob.locator("#me")).to_have_text("Bob B.")
    await alice.click("#rooms li button")
    await opened(alice, "Team")
    await expect(alice.locator(".mention").first).to_have_text("@Bob B.")
    await until(alice, f"{LAST}.querySelector('.bubble .name').textContent === 'Bob B.'")
    await write(bob, "#compose textarea", "typing")
    await until(alice, "document.querySelector('#typing').textContent === 'Bob B. is typing …'")
    await write(alice, "#compose textarea", "@")
    await expect(alice.locator("#suggestions li").first).to_have_text(re.compile(r"Bob B\.$"))
    await alice.keyboard.press("Escape")
    await act(alice, ".reply")
    await expect(alice.locator("#banner strong").first).to_contain_text("Bob B.")
