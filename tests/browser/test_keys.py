"""What the keyboard does on the page, and files that are pasted and dropped."""

from __future__ import annotations

import re

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    details,
    direct,
    frame,
    group,
    in_direct_room,
    opened,
    say,
    signed_in,
    until,
    use_tool,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.world import World

FIELD = "document.querySelector('#compose textarea')"
SENT = "[...document.querySelectorAll('#messages .bubble p')].map((one) => one.textContent)"
CHOSEN = "[...document.querySelectorAll('#chosen .chip > span')].map((one) => one.innerText)"
MENU = "document.querySelector('#menu')"


async def test_alt_and_arrows_change_the_room_and_a_slash_leads_to_the_composer(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Rooms in the order of the list, up and down; behind the ends is nothing."""
    alice = await signed_in(context, dev_url, names[0])
    for name in ("Garden", "Kitchen", "Attic"):  # the last one is the first of the list
        await group(alice, name)
    for name in ("Kitchen", "Garden", "Garden"):
        await alice.keyboard.press("Alt+ArrowDown")
        await opened(alice, name)
    for name in ("Kitchen", "Attic", "Attic"):
        await alice.keyboard.press("Alt+ArrowUp")
        await opened(alice, name)
    await alice.focus("#scroll")
    for value in ("", "/"):  # to the field, and then it is a letter
        await alice.keyboard.press("/")
        await until(alice, f"document.activeElement === {FIELD} && {FIELD}.value === '{value}'")


PRESS = """
const press = (key, more) => document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true, ...more}));
const search = (text) => {
  press('k', {ctrlKey: true});
  const field = document.activeElement;
  if (field.id !== 'search') return field.outerHTML;
  field.value = text;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  press('Enter');
  return document.activeElement.name + ' ' + document.querySelector('#title').textContent;
};
"""
"""Keys of one moment, between which nothing can be drawn."""


async def test_a_key_goes_where_the_one_before_it_led(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Ctrl+K, a name, Enter and a text, without a pause; the same for the chat that is open."""
    alice = await signed_in(context, dev_url, names[0])
    for name in ("Garden", "Kitchen"):
        await group(alice, name)
    for name in ("Garden", "Garden", "Kitchen"):
        found = await alice.evaluate(f"() => {{ {PRESS} return search('{name.lower()}'); }}")
        assert found == f"text {name}"
        assert await alice.input_value("#search") == ""
    await alice.set_viewport_size({"width": 390, "height": 844})
    found = await alice.evaluate(
        f"() => {{ {PRESS} press('k', {{ctrlKey: true}}); return document.activeElement.id; }}"
    )
    assert found == "search"


async def test_enter_on_a_chat_of_the_list_opens_it_and_is_no_line_of_the_text(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The field has the focus, and is empty."""
    alice = await signed_in(context, dev_url, names[0])
    for name in ("Garden", "Kitchen"):
        await group(alice, name)
    for key in ("Enter", " "):
        await alice.focus("#rooms li:last-child button")
        await alice.keyboard.press(key)
        await opened(alice, "Garden")
        await until(alice, f"document.activeElement === {FIELD} && {FIELD}.value === ''")


async def test_a_message_may_have_lines(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Shift+Enter breaks, Enter sends all of it; the field grows with it, to eight lines."""
    alice = await in_direct_room(context, dev_url, names)
    height = f"{FIELD}.getBoundingClientRect().height"
    low = await alice.evaluate(height)
    await write(alice, "#compose textarea", "one")
    await alice.keyboard.press("Shift+Enter")
    await write(alice, "#compose textarea", "two")
    await until(alice, f"{height} > {low}")
    assert await alice.evaluate(f"{SENT}.length") == 0
    await alice.keyboard.press("Enter")
    await until(alice, f"JSON.stringify({SENT}) === JSON.stringify(['one\\ntwo'])")
    await until(alice, f"{height} === {low}")
    await write(alice, "#compose textarea", "line\n" * 30)
    assert low * 4 < await alice.evaluate(height) < 200


async def test_files_are_pasted_and_dropped(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Both wait above the field, each can be taken back, and what is left goes with the text."""
    alice = await in_direct_room(context, dev_url, names)
    given = (
        "((name) => { const data = new DataTransfer(); data.items.add(new File(['x'], name));"
        " return data; })"
    )
    await alice.evaluate(
        f"{FIELD}.dispatchEvent(new ClipboardEvent('paste',"
        f" {{ clipboardData: {given}('pasted.txt'), bubbles: true, cancelable: true }}))"
    )
    await until(alice, f"{CHOSEN}.join() === 'pasted.txt 1 B'")
    for kind in ("dragover", "drop"):
        await alice.evaluate(
            f"document.querySelector('#scroll').dispatchEvent(new DragEvent('{kind}',"
            f" {{ dataTransfer: {given}('dropped.txt'), bubbles: true, cancelable: true }}))"
        )
        is_dropping = await alice.evaluate("document.querySelector('#room').matches('.dropping')")
        assert is_dropping is (kind == "dragover")
    await until(alice, f"{CHOSEN}.join() === 'pasted.txt 1 B,dropped.txt 1 B'")
    for kind in ("dragover", "drop"):  # beside the room the browser would open the file instead
        assert not await alice.evaluate(
            f"document.querySelector('#sidebar').dispatchEvent(new DragEvent('{kind}',"
            f" {{ dataTransfer: {given}('beside.txt'), bubbles: true, cancelable: true }}))"
        )
    await alice.click("#chosen [aria-label='Remove pasted.txt']")
    await until(alice, f"{CHOSEN}.join() === 'dropped.txt 1 B'")
    await say(alice, "see")
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    row = await alice.inner_text("#messages li:last-child .bubble")
    assert "dropped.txt 1 B" in row
    assert "see" in row
    assert await alice.evaluate(f"{CHOSEN}.length") == 0


async def test_escape_leaves_one_thing_at_a_time(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The menu, wherever focus is; then what is composed, then the details. Nothing else closes."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "hello")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await alice.set_viewport_size({"width": 1280, "height": 800})  # the details beside the chat
    await details(alice)
    await act(alice, ".reply")
    banner = "document.querySelector('#banner').checkVisibility()"
    side = "document.querySelector('#details').checkVisibility()"
    await until(alice, banner)
    await use_tool(alice, ".more", "#messages li:first-child")
    await alice.evaluate(f"{FIELD}.focus()")
    for left in ("banner, details", "details", ""):
        await alice.keyboard.press("Escape")
        await frame(alice)
        shown = f"[{banner} && 'banner', {side} && 'details'].filter(Boolean).join(', ')"
        await until(alice, f"{shown} === '{left}' && !{MENU}")
    assert await alice.is_visible("#room")


async def test_escape_ends_an_edit_before_it_closes_a_toast(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The offer to take a deletion back stays, and what is sent then is a message of its own."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "one", "two")
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    await act(alice, ".remove")
    await expect(alice.locator(".toast")).to_have_text(re.compile(r"^Message deleted\."))
    await alice.focus("#compose textarea")
    await alice.keyboard.press("ArrowUp")
    await expect(alice.locator("#banner")).to_contain_text("one")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#banner")).to_be_hidden()
    assert await alice.locator(".toast").count() == 1
    await say(alice, "three")
    await until(alice, f"{SENT}.join() === 'one,Message deleted,three'")
    await alice.keyboard.press("Escape")
    await expect(alice.locator(".toast")).to_have_count(0)


async def test_keys_lead_through_the_menu_of_a_message(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Arrows from the last to the first and back, Home and End; its button says that it is open."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "hello")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await use_tool(alice, ".more", "#messages li:first-child")
    more = alice.locator("#messages .more").first
    await expect(more).to_have_attribute("aria-expanded", "true")
    first, last = alice.locator("#menu button").first, alice.locator("#menu button").last
    for key, at in (
        ("End", last),
        ("ArrowDown", first),
        ("ArrowUp", last),
        ("Home", first),
        ("ArrowLeft", last),
        ("ArrowRight", first),
    ):
        await alice.keyboard.press(key)
        await expect(at).to_be_focused()
    await alice.keyboard.press("Escape")
    await expect(more).to_be_focused()
    await expect(more).not_to_have_attribute("aria-expanded", "true")


async def test_a_menu_goes_with_its_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Another room, by keys or the way back of the browser, closes it."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Garden")
    await direct(alice, names[1])
    await say(alice, "hello")
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    await use_tool(alice, ".more", "#messages li:first-child")
    await until(alice, MENU)
    await alice.keyboard.press("Alt+ArrowDown")
    await opened(alice, "Garden")
    await until(alice, f"!{MENU}")


async def test_the_focus_stays_in_the_message_that_one_reacts_to(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The row is drawn again with the reaction; ↑ and ↓ go on from there."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "one", "two")
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    await alice.focus("#scroll")
    await alice.keyboard.press("ArrowUp")
    await alice.keyboard.press("Enter")
    await until(alice, MENU)
    await alice.keyboard.press("Enter")
    await expect(alice.locator("#messages .reactions button").first).to_be_attached()
    await frame(alice)
    await frame(alice)
    assert await alice.evaluate("document.activeElement.closest('#messages li') !== null")


async def test_a_click_on_send_leaves_the_focus_in_the_text(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The next message can be typed at once, after a click and after a key on the button."""
    alice = await in_direct_room(context, dev_url, names)
    await write(alice, "#compose textarea", "one")
    await alice.click("#compose .send")
    await until(alice, f"{SENT}.join() === 'one'")
    assert await alice.evaluate(f"document.activeElement === {FIELD}")
    await write(alice, "#compose textarea", "two")
    await alice.focus("#compose .send")
    await alice.keyboard.press("Enter")
    await until(alice, f"{SENT}.join() === 'one,two'")
    assert await alice.evaluate(f"document.activeElement === {FIELD}")


STOPS = "document.querySelectorAll('#messages :is(a, button):not([tabindex=\"-1\"])').length"
NAMED = "document.activeElement.ariaLabel ?? document.activeElement.innerText"


async def test_the_messages_are_one_stop_of_the_tab_key(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """What can be done to a message follows it, named with it; ↑ comes back where one was."""
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, "one https://example.com", "two", "three")
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    assert await alice.evaluate(STOPS) == 0
    await alice.focus("#scroll")
    for _ in range(3):
        await alice.keyboard.press("ArrowUp")
    found = []
    for _ in range(5):
        await alice.keyboard.press("Tab")
        found.append(await alice.evaluate(NAMED))
    of_one = ", You: one https://example.com"
    assert found[:4] == [
        "https://example.com",
        f"React 👍{of_one}",
        f"Reply{of_one}",
        f"Message actions{of_one}",
    ]
    assert not await alice.evaluate("document.activeElement.closest('#messages')")
    assert await alice.evaluate(STOPS) == 0
    await alice.focus("#scroll")
    await alice.keyboard.press("ArrowUp")
    assert "one" in await alice.evaluate("document.activeElement.innerText")


async def test_tab_leaves_a_long_list_where_it_is(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """It does not lead to the button at the top; who used that, or the pill, is in the list."""
    alice, bob = names
    async with world.js(alice) as a:
        created = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        for n in range(120):
            message = {"room_id": created["room"]["room_id"], "client_msg_id": f"m{n}"}
            await ok(a, "message.send", {**message, "text": f"m{n}"})
        page = await signed_in(context, dev_url, alice)
        await page.click("#rooms li button")
        await expect(page.locator("#messages li").last).to_contain_text("m119")
        assert await page.evaluate("document.querySelector('#earlier').checkVisibility()")
        await page.focus("#scroll")
        before = await page.evaluate("document.querySelector('#scroll').scrollTop")
        await page.keyboard.press("Tab")
        await frame(page)
        assert await page.evaluate("document.querySelector('#scroll').scrollTop") == before
        assert await page.evaluate("Boolean(document.activeElement.closest('#compose'))")
        top = "document.querySelector('#scroll').scrollTop = 0"
        in_list = "document.activeElement.closest('#scroll:not(:has(#earlier:focus))') !== null"
        await page.evaluate("document.querySelector('#earlier').focus()")
        await until(page, f"({top}, !document.querySelector('#earlier').checkVisibility())")
        await frame(page)
        assert await page.evaluate(in_list)
        await page.focus("#pill")
        await page.keyboard.press("Enter")
        await expect(page.locator("#pill")).to_be_hidden()
        await frame(page)
        assert await page.evaluate(in_list)
