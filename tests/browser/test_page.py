"""The page in two windows of a real browser, against the development stack."""

from __future__ import annotations

import json
import re

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    BELOW,
    act,
    both_with_direct_room,
    details,
    frame,
    group,
    in_direct_room,
    online,
    opened,
    say,
    signed_in,
    until,
    use_tool,
    visit,
    write,
)

TEXTS = "#messages .bubble p"


MARKS = "document.querySelectorAll('#messages .mark').length"


async def shows(page: Page, *texts: str) -> None:
    """Wait until the open room shows exactly these texts, in this order."""
    await expect(page.locator(TEXTS)).to_have_text(texts)


async def test_two_people_chat(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Two windows hear each other at once: room, name, unread, preview, clock and tick."""
    alice_id = names[0]
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await write(alice, "#compose textarea", "hello", enter=True)
    await shows(alice, "hello")
    await expect(alice.locator("#messages .own .mark.delivered").first).to_be_attached()

    await expect(bob.locator("#rooms .badge").first).to_have_text("1")
    await expect(bob).to_have_title(re.compile(r"^\(1\) "))
    await until(bob, "document.querySelector('#favicon').href.includes('d92d20')")
    await expect(bob.locator("#rooms .title").first).to_have_text(f"{alice_id}")
    preview = await bob.inner_text("#rooms .preview")
    assert preview == "hello"  # its title says who
    await bob.click("#rooms li button")
    await shows(bob, "hello")
    await expect(bob.locator("#rooms .badge").first).to_have_text("")
    await until(bob, "!document.title.startsWith('(')")
    assert "d92d20" not in await bob.evaluate("document.querySelector('#favicon').href")
    await expect(alice.locator("#messages .own .mark.read").first).to_be_attached()

    await write(bob, "#compose textarea", "hi <b>alice</b>", enter=True)
    await shows(alice, "hello", "hi <b>alice</b>")
    assert await alice.locator("#messages b").count() == 0


async def test_group_gets_a_member(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Who is added to a group sees it appear, and its history says so to all."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)

    await group(alice, "Team")
    await details(alice)
    await write(alice, "#add-member input", bob_id, enter=True)
    await expect(alice.locator("#messages .sentence").first).to_have_text(f"You added {bob_id}")

    await bob.click("#rooms li button")
    await expect(bob.locator("#messages .sentence").first).to_have_text(f"{alice_id} added you")
    await expect(bob.locator("#members")).to_contain_text(f"{alice_id}")


async def test_history_pages_upwards(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Older messages come page by page, without a hole and without a repetition."""
    bob_id = names[1]
    texts = [f"number {n}" for n in range(70)]
    alice = await in_direct_room(context, dev_url, names)
    await alice.evaluate(
        f"for (const text of {json.dumps(texts)}) {{"
        "const field = document.querySelector('#compose textarea');"
        "field.value = text; field.dispatchEvent(new Event('input', {bubbles: true}));"
        "document.querySelector('#compose').requestSubmit(); }"
    )
    await until(alice, "document.querySelector('#messages li:last-child .mark.queued')")
    await expect(alice.locator(TEXTS).last).to_have_text("number 69")

    bob = await signed_in(context, dev_url, bob_id)
    await bob.click("#rooms li button")
    # 70 are unread: it begins with the first of them. Only a part is in the document at a time.
    await expect(bob.locator("#messages .divider").first).to_be_attached()
    await expect(bob.locator(TEXTS).first).to_have_text("number 0")
    seen = await walk_down(bob)
    assert seen == texts
    await expect(alice.locator("#messages li:last-child .mark.read")).to_be_attached()

    again = await signed_in(context, dev_url, bob_id)
    await again.click("#rooms li button")
    await expect(again.locator(TEXTS).last).to_have_text("number 69")
    for _ in range(2):
        await again.evaluate("document.querySelector('#scroll').scrollTop = 0")
        await expect(again.locator(".skeleton.rows").first).to_be_hidden()
    await until(
        again,
        "(document.querySelector('#scroll').scrollTop = 0,"
        " !document.querySelector('#earlier').checkVisibility())",
    )
    assert await walk_down(again) == texts


MORE_BELOW = "document.querySelector('#pill').checkVisibility()"


async def walk_down(page: Page) -> list[str]:
    """Every text from the top to the bottom, as one sees it while scrolling."""
    found: list[str] = []
    await page.evaluate("document.querySelector('#scroll').scrollTop = 0")
    await frame(page)
    while True:
        for text in await page.locator(TEXTS).all_text_contents():
            if text not in found:
                found.append(text)
        before = await page.evaluate("document.querySelector('#scroll').scrollTop")
        await page.evaluate("document.querySelector('#scroll').scrollBy(0, 300)")
        await frame(page)
        if await page.evaluate("document.querySelector('#scroll').scrollTop") == before:
            if not await page.evaluate(MORE_BELOW):
                return found
            await until(page, f"!{MORE_BELOW} || {BELOW} > 0")  # a page of newer ones is on its way


async def test_sign_in(context: BrowserContext, dev_url: str, names: tuple[str, str]) -> None:
    """Without a name in the address the page asks for one."""
    page = await visit(context, f"{dev_url}/")
    await write(page, "#sign-in input", names[0], enter=True)
    await online(page)
    assert await page.inner_text("#me") == names[0]


async def test_the_way_back_leads_into_no_chat_after_signing_out(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Nor a step further back; whoever gives their name again is signed in."""
    alice = await in_direct_room(context, dev_url, names)
    await alice.click("#own-menu summary")
    await alice.click("#sign-out")
    for _ in range(2):
        await expect(alice.locator("#sign-in")).to_be_visible()
        await alice.go_back()
    await expect(alice.locator("#sign-in")).to_be_visible()
    await write(alice, "#sign-in input", names[0], enter=True)
    await online(alice)


async def test_edit_delete_and_react(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A change in one window shows in the other: new text, reactions with counts, tombstones."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, "helo", "second")
    await expect(alice.locator("#messages .mark.delivered")).to_have_count(2)
    await bob.click("#rooms li button")
    await shows(bob, "helo", "second")

    await act(alice, ".edit", "#messages li:first-child")
    assert await alice.input_value("#compose textarea") == "helo"
    await alice.fill("#compose textarea", "hello")
    await alice.press("#compose textarea", "Enter")
    await shows(bob, "hello", "second")
    await expect(bob.locator("#messages .edited")).to_have_count(1)

    await use_tool(bob, ".react", "#messages li:first-child")
    for page in (alice, bob):
        await expect(page.locator("#messages .reactions .react").first).to_have_text("👍 1")
    assert await bob.locator("#messages .react.mine").count() == 1
    await bob.click("#messages .reactions .react")
    await expect(alice.locator("#messages .reactions .react")).to_have_count(0)

    await act(alice, ".remove")
    await shows(alice, "hello", "Message deleted")
    assert await alice.evaluate(MARKS) == 1  # what is deleted says no more how far it came
    await alice.click("#toasts [aria-label=Close]")
    await shows(bob, "hello", "Message deleted")
    await expect(bob.locator("#rooms .preview").first).to_have_text(re.compile(r"deleted$"))
    assert await alice.evaluate(MARKS) == 1
    assert await bob.locator("#messages .more").count() == 1


async def test_members_of_a_group(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The owner gives a role, hands over and leaves; mute and hide are one's own."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await details(bob)
    await expect(bob.locator("#people li")).to_have_count(2)
    role = f"document.querySelector('#people [data-key=\"{bob_id}\"] .role').textContent"
    assert await bob.evaluate(role) == "Member"

    await details(alice)
    await alice.select_option(f"#people [data-key='{bob_id}'] select", "owner")
    await until(bob, f"{role} === 'Owner'")
    await alice.click("#leave")
    await alice.click("#leave-form .danger")
    await expect(alice.locator("#rooms li")).to_have_count(0)
    lines = [f"{alice_id} made you an owner", f"{alice_id} left"]
    await expect(bob.locator("#messages .sentence")).to_have_text(lines)
    await expect(bob.locator("#people li")).to_have_count(1)

    await bob.click("#mute")
    await expect(bob.locator("#mute")).to_have_text("Unmute")
    await bob.click("#hide")
    await expect(bob.locator("#rooms li")).to_have_count(0)
    await bob.click("#archive summary")
    await bob.click("#hidden-rooms button")
    await opened(bob, "Team")
    await details(bob)
    await bob.click("#hide")
    await expect(bob.locator("#rooms li")).to_have_count(1)


async def test_presence_and_typing_are_shown(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A dot beside a name, a line while the other one types, and neither when he is gone."""
    bob_id = names[1]
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await expect(alice.locator("#rooms .dot.online").first).to_be_attached()
    assert await alice.inner_text("#members") == "Online"
    await bob.click("#rooms li button")
    await write(bob, "#compose textarea", "h")
    line = f"document.querySelector('#typing').textContent === '{bob_id} is typing …'"
    await until(alice, line)
    await write(bob, "#compose textarea", "i", enter=True)
    await until(alice, "document.querySelector('#typing').textContent === ''")
    await shows(alice, "hi")
    await bob.close()
    await expect(alice.locator("#rooms .dot.offline").first).to_be_attached()
    assert "Last here" in await alice.inner_text("#members")
