"""The demo page in two windows of a real browser, against the development stack."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium
from tests.browser.session import direct, signed_in

TEXTS = "[...document.querySelectorAll('#messages p')].map((p) => p.textContent)"


def shows(*texts: str) -> str:
    """An expression: the open room shows exactly these texts, in this order."""
    return f"JSON.stringify({TEXTS}) === JSON.stringify({json.dumps(texts)})"


async def test_two_people_chat(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Two windows hear each other at once: room, name, unread, preview, clock and tick."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)

    await direct(alice, bob_id)
    await alice.type("#compose textarea", "hello", enter=True)
    await alice.until(shows("hello"))
    await alice.until("document.querySelector('#messages .own .mark.delivered')")

    await bob.until("document.querySelector('#rooms .badge')?.textContent === '1'")
    await bob.until(f"document.querySelector('#rooms .title').textContent === '{alice_id}'")
    preview = await bob.js("document.querySelector('#rooms .preview').textContent")
    assert preview == f"{alice_id}: hello"
    await bob.click("#rooms li button")
    await bob.until(shows("hello"))
    await bob.until("document.querySelector('#rooms .badge').textContent === ''")
    await alice.until("document.querySelector('#messages .own .mark.read')")

    await bob.type("#compose textarea", "hi <b>alice</b>", enter=True)
    await alice.until(shows("hello", "hi <b>alice</b>"))
    assert await alice.js("document.querySelectorAll('#messages b').length") == 0


async def test_group_gets_a_member(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Who is added to a group sees it appear, and its history says so to all."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)

    await alice.click("#new summary")
    await alice.type("#new-group [name=name]", "Team", enter=True)
    await alice.until("document.querySelector('#title')?.textContent === 'Team'")
    await alice.type("#add-member input", bob_id, enter=True)
    said = f"{alice_id} added {bob_id}"
    await alice.until(f"document.querySelector('#messages .system')?.textContent === '{said}'")

    await bob.click("#rooms li button")
    await bob.until(f"document.querySelector('#messages .system')?.textContent === '{said}'")
    await bob.until(f"document.querySelector('#members').textContent.includes('{alice_id}')")


async def test_history_pages_upwards(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Older messages come page by page, without a hole and without a repetition."""
    alice_id, bob_id = names
    texts = [f"number {n}" for n in range(70)]
    alice = await signed_in(chromium, dev_url, alice_id)
    await direct(alice, bob_id)
    await alice.js(
        f"for (const text of {json.dumps(texts)}) {{"
        "document.querySelector('#compose textarea').value = text;"
        "document.querySelector('#compose').requestSubmit(); }"
    )
    await alice.until("document.querySelectorAll('#messages .mark:not(.sending)').length === 70")
    await alice.until(shows(*texts))

    bob = await signed_in(chromium, dev_url, bob_id)
    await bob.click("#rooms li button")
    await bob.until(shows(*texts[-50:]))
    await bob.click("#earlier")
    await bob.until(shows(*texts))
    await bob.until("!document.querySelector('#earlier').checkVisibility()")


async def test_sign_in(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Without a name in the address the page asks for one."""
    page = await chromium.open(f"{dev_url}/")
    await page.type("#sign-in input", names[0], enter=True)
    await page.until("document.querySelector('#state')?.textContent === 'connected'")
    assert await page.js("document.querySelector('#me').textContent") == names[0]


async def test_edit_delete_and_react(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A change in one window shows in the other: new text, reactions with counts, tombstones."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    for text in ("helo", "second"):
        await alice.type("#compose textarea", text, enter=True)
    await alice.until("document.querySelectorAll('#messages .mark:not(.sending)').length === 2")
    await bob.click("#rooms li button")
    await bob.until(shows("helo", "second"))

    await alice.js("document.querySelector('#messages .edit').click()")
    assert await alice.js("document.querySelector('#compose textarea').value") == "helo"
    await alice.js("document.querySelector('#compose textarea').value = ''")
    await alice.type("#compose textarea", "hello", enter=True)
    await bob.until(shows("hello", "second"))
    await bob.until("document.querySelectorAll('#messages .edited').length === 1")

    await bob.js("document.querySelector('#messages .tools .react').click()")
    for page in (alice, bob):
        await page.until(
            "document.querySelector('#messages .reactions .react')?.textContent === '👍 1'"
        )
    assert await bob.js("document.querySelectorAll('#messages .react.mine').length") == 1
    await bob.js("document.querySelector('#messages .reactions .react').click()")
    await alice.until("!document.querySelector('#messages .reactions .react')")

    # Two clicks in one moment: the second waits for the first.
    last = "[...document.querySelectorAll('#messages .{}')].at(-1).click()"
    await alice.js(f"{last.format('tools .react')}, {last.format('remove')}")
    await bob.until(shows("hello", "deleted"))
    await bob.until("document.querySelector('#rooms .preview').textContent.endsWith('deleted')")
    assert await bob.js("document.querySelectorAll('#messages .edit').length") == 0


async def test_members_of_a_group(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """The owner gives a role, hands over and leaves; mute and hide are one's own."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await alice.click("#new summary")
    await alice.type("#new-group [name=name]", "Team")
    await alice.type("#new-group [name=members]", bob_id, enter=True)
    await alice.until("document.querySelector('#title')?.textContent === 'Team'")
    await bob.click("#rooms li button")
    await bob.until("document.querySelectorAll('#people li').length === 2")
    role = f"document.querySelector('#people [data-key=\"{bob_id}\"] .role').textContent"
    assert await bob.js(role) == "member"

    select = f"document.querySelector('#people [data-key=\"{bob_id}\"] select')"
    await alice.until(select)
    give = (
        f"{select}.value = 'owner'; {select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )
    await alice.js(give)
    await bob.until(f"{role} === 'owner'")
    await alice.js("document.querySelector('#leave').click()")
    await alice.until("document.querySelectorAll('#rooms li').length === 0")
    await bob.until(
        f"document.querySelector('#messages .system')?.textContent === '{alice_id} left'"
    )
    await bob.until("document.querySelectorAll('#people li').length === 1")

    await bob.js("document.querySelector('#mute').click()")
    await bob.until("document.querySelector('#mute').textContent === 'Unmute'")
    await bob.js("document.querySelector('#hide').click()")
    await bob.until("document.querySelectorAll('#rooms li').length === 0")


async def test_who_is_here_and_who_is_typing(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A dot beside a name, a line while the other one types, and neither when he is gone."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await alice.until("document.querySelector('#rooms .dot.online')")
    assert await alice.js("document.querySelector('#members').textContent") == "online"
    await bob.click("#rooms li button")
    await bob.type("#compose textarea", "h")
    line = f"document.querySelector('#typing').textContent === '{bob_id} is typing …'"
    await alice.until(line)
    await bob.type("#compose textarea", "i", enter=True)
    await alice.until("document.querySelector('#typing').textContent === ''")
    await alice.until(shows("hi"))
    await bob.call("Page.close")
    await alice.until("document.querySelector('#rooms .dot.offline')")
    assert "last here" in await alice.js("document.querySelector('#members').textContent")
