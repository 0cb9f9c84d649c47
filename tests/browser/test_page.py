"""The page in two windows of a real browser, against the development stack."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium, Page
from tests.browser.session import (
    BELOW,
    act,
    both_with_direct_room,
    details,
    group,
    in_direct_room,
    online,
    opened,
    say,
    signed_in,
)

TEXTS = "[...document.querySelectorAll('#messages .bubble p')].map((p) => p.textContent)"


MARKS = "document.querySelectorAll('#messages .mark').length"


def shows(*texts: str) -> str:
    """An expression: the open room shows exactly these texts, in this order."""
    return f"JSON.stringify({TEXTS}) === JSON.stringify({json.dumps(texts)})"


async def test_two_people_chat(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Two windows hear each other at once: room, name, unread, preview, clock and tick."""
    alice_id = names[0]
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await alice.type("#compose textarea", "hello", enter=True)
    await alice.until(shows("hello"))
    await alice.until("document.querySelector('#messages .own .mark.delivered')")

    await bob.until("document.querySelector('#rooms .badge')?.textContent === '1'")
    await bob.until("document.title.startsWith('(1) ')")
    await bob.until("document.querySelector('#favicon').href.includes('d92d20')")
    await bob.until(f"document.querySelector('#rooms .title').textContent === '{alice_id}'")
    preview = await bob.js("document.querySelector('#rooms .preview').textContent")
    assert preview == f"{alice_id}: hello"
    await bob.click("#rooms li button")
    await bob.until(shows("hello"))
    await bob.until("document.querySelector('#rooms .badge').textContent === ''")
    await bob.until("!document.title.startsWith('(')")
    assert "d92d20" not in await bob.js("document.querySelector('#favicon').href")
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

    await group(alice, "Team")
    await details(alice)
    await alice.type("#add-member input", bob_id, enter=True)
    said = f"{alice_id} added {bob_id}"
    await alice.until(f"document.querySelector('#messages .sentence')?.textContent === '{said}'")

    await bob.click("#rooms li button")
    await bob.until(f"document.querySelector('#messages .sentence')?.textContent === '{said}'")
    await bob.until(f"document.querySelector('#members').textContent.includes('{alice_id}')")


async def test_history_pages_upwards(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Older messages come page by page, without a hole and without a repetition."""
    bob_id = names[1]
    texts = [f"number {n}" for n in range(70)]
    alice = await in_direct_room(chromium, dev_url, names)
    await alice.js(
        f"for (const text of {json.dumps(texts)}) {{"
        "const field = document.querySelector('#compose textarea');"
        "field.value = text; field.dispatchEvent(new Event('input', {bubbles: true}));"
        "document.querySelector('#compose').requestSubmit(); }"
    )
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    await alice.until(f"{TEXTS}.at(-1) === 'number 69'")

    bob = await signed_in(chromium, dev_url, bob_id)
    await bob.click("#rooms li button")
    # 70 are unread: it begins with the first of them. Only a part is in the document at a time.
    await bob.until("document.querySelector('#messages .divider')")
    await bob.until(f"{TEXTS}[0] === 'number 0'")
    seen = await walk_down(bob)
    assert seen == texts
    await alice.until("document.querySelector('#messages li:last-child .mark.read')")

    again = await signed_in(chromium, dev_url, bob_id)
    await again.click("#rooms li button")
    await again.until(f"{TEXTS}.at(-1) === 'number 69'")
    for _ in range(2):
        await again.js("document.querySelector('#scroll').scrollTop = 0")
        await again.until("!document.querySelector('.skeleton.rows').checkVisibility()")
    await again.until(
        "(document.querySelector('#scroll').scrollTop = 0,"
        " !document.querySelector('#earlier').checkVisibility())"
    )
    assert await walk_down(again) == texts


MORE_BELOW = "document.querySelector('#pill').checkVisibility()"


async def walk_down(page: Page) -> list[str]:
    """Every text from the top to the bottom, as one sees it while scrolling."""
    found: list[str] = []
    await page.js("document.querySelector('#scroll').scrollTop = 0")
    await page.frame()
    while True:
        for text in await page.js(TEXTS):
            if text not in found:
                found.append(text)
        before = await page.js("document.querySelector('#scroll').scrollTop")
        await page.js("document.querySelector('#scroll').scrollBy(0, 300)")
        await page.frame()
        if await page.js("document.querySelector('#scroll').scrollTop") == before:
            if not await page.js(MORE_BELOW):
                return found
            await page.until(f"!{MORE_BELOW} || {BELOW} > 0")  # a page of newer ones is on its way


async def test_sign_in(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """Without a name in the address the page asks for one."""
    page = await chromium.open(f"{dev_url}/")
    await page.type("#sign-in input", names[0], enter=True)
    await online(page)
    assert await page.js("document.querySelector('#me').textContent") == names[0]


async def test_edit_delete_and_react(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A change in one window shows in the other: new text, reactions with counts, tombstones."""
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await say(alice, "helo", "second")
    await alice.until("document.querySelectorAll('#messages .mark.delivered').length === 2")
    await bob.click("#rooms li button")
    await bob.until(shows("helo", "second"))

    await act(alice, ".edit", "#messages li:first-child")
    assert await alice.js("document.querySelector('#compose textarea').value") == "helo"
    await alice.js("document.querySelector('#compose textarea').select()")
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

    await act(alice, ".remove")
    await alice.until(shows("hello", "Message deleted"))
    assert await alice.js(MARKS) == 1  # what is deleted says no more how far it came
    await alice.click("#toasts [aria-label=Close]")
    await bob.until(shows("hello", "Message deleted"))
    await bob.until("document.querySelector('#rooms .preview').textContent.endsWith('deleted')")
    assert await alice.js(MARKS) == 1
    assert await bob.js("document.querySelectorAll('#messages .more').length") == 1


async def test_members_of_a_group(chromium: Chromium, dev_url: str, names: tuple[str, str]) -> None:
    """The owner gives a role, hands over and leaves; mute and hide are one's own."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await details(bob)
    await bob.until("document.querySelectorAll('#people li').length === 2")
    role = f"document.querySelector('#people [data-key=\"{bob_id}\"] .role').textContent"
    assert await bob.js(role) == "Member"

    await details(alice)
    select = f"document.querySelector('#people [data-key=\"{bob_id}\"] select')"
    await alice.until(select)
    give = (
        f"{select}.value = 'owner'; {select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    )
    await alice.js(give)
    await bob.until(f"{role} === 'Owner'")
    await alice.click("#leave")
    await alice.click("#leave-form .danger")
    await alice.until("document.querySelectorAll('#rooms li').length === 0")
    await bob.until(
        f"document.querySelector('#messages .sentence')?.textContent === '{alice_id} left'"
    )
    await bob.until("document.querySelectorAll('#people li').length === 1")

    await bob.click("#mute")
    await bob.until("document.querySelector('#mute').textContent === 'Unmute'")
    await bob.click("#hide")
    await bob.until("document.querySelectorAll('#rooms li').length === 0")
    await bob.click("#archive summary")
    await bob.click("#hidden-rooms button")
    await opened(bob, "Team")
    await details(bob)
    await bob.click("#hide")
    await bob.until("document.querySelectorAll('#rooms li').length === 1")


async def test_presence_and_typing_are_shown(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A dot beside a name, a line while the other one types, and neither when he is gone."""
    bob_id = names[1]
    alice, bob = await both_with_direct_room(chromium, dev_url, names)
    await alice.until("document.querySelector('#rooms .dot.online')")
    assert await alice.js("document.querySelector('#members').textContent") == "Online"
    await bob.click("#rooms li button")
    await bob.type("#compose textarea", "h")
    line = f"document.querySelector('#typing').textContent === '{bob_id} is typing …'"
    await alice.until(line)
    await bob.type("#compose textarea", "i", enter=True)
    await alice.until("document.querySelector('#typing').textContent === ''")
    await alice.until(shows("hi"))
    await bob.call("Page.close")
    await alice.until("document.querySelector('#rooms .dot.offline')")
    assert "Last here" in await alice.js("document.querySelector('#members').textContent")
