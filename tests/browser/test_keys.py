"""What the keyboard does on the page, and files that are pasted and dropped."""

from __future__ import annotations

from tests.browser.chromium import Chromium
from tests.browser.session import (
    act,
    details,
    direct,
    group,
    in_direct_room,
    opened,
    say,
    signed_in,
)

ALT, SHIFT = 1, 8
FIELD = "document.querySelector('#compose textarea')"
SENT = "[...document.querySelectorAll('#messages .bubble p')].map((one) => one.textContent)"
CHOSEN = "[...document.querySelectorAll('#chosen .chip > span')].map((one) => one.innerText)"
MENU = "document.querySelector('#menu')"


async def test_alt_and_arrows_change_the_room_and_a_slash_leads_to_the_composer(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Rooms in the order of the list, up and down; behind the ends is nothing."""
    alice = await signed_in(chromium, dev_url, names[0])
    for name in ("Garden", "Kitchen", "Attic"):  # the last one is the first of the list
        await group(alice, name)
    for name in ("Kitchen", "Garden", "Garden"):
        await alice.press("ArrowDown", 40, ALT)
        await opened(alice, name)
    for name in ("Kitchen", "Attic", "Attic"):
        await alice.press("ArrowUp", 38, ALT)
        await opened(alice, name)
    await alice.js("document.querySelector('#scroll').focus()")
    slash = {"key": "/", "code": "Slash", "windowsVirtualKeyCode": 191, "text": "/"}
    for value in ("", "/"):  # to the field, and then it is a letter
        await alice.call("Input.dispatchKeyEvent", type="keyDown", **slash)
        await alice.until(f"document.activeElement === {FIELD} && {FIELD}.value === '{value}'")


async def test_a_message_may_have_lines(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Shift+Enter breaks, Enter sends all of it; the field grows with it, to eight lines."""
    alice = await in_direct_room(chromium, dev_url, names)
    height = f"{FIELD}.getBoundingClientRect().height"
    low = await alice.js(height)
    await alice.type("#compose textarea", "one")
    await alice.press("Enter", 13, SHIFT)
    await alice.type("#compose textarea", "two")
    await alice.until(f"{height} > {low}")
    assert await alice.js(f"{SENT}.length") == 0
    await alice.press("Enter", 13)
    await alice.until(f"JSON.stringify({SENT}) === JSON.stringify(['one\\ntwo'])")
    await alice.until(f"{height} === {low}")
    await alice.type("#compose textarea", "line\n" * 30)
    assert low * 4 < await alice.js(height) < 200


async def test_files_are_pasted_and_dropped(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Both wait above the field, each can be taken back, and what is left goes with the text."""
    alice = await in_direct_room(chromium, dev_url, names)
    given = (
        "((name) => { const data = new DataTransfer(); data.items.add(new File(['x'], name));"
        " return data; })"
    )
    await alice.js(
        f"{FIELD}.dispatchEvent(new ClipboardEvent('paste',"
        f" {{ clipboardData: {given}('pasted.txt'), bubbles: true, cancelable: true }}))"
    )
    await alice.until(f"{CHOSEN}.join() === 'pasted.txt 1 B'")
    for kind in ("dragover", "drop"):
        await alice.js(
            f"document.querySelector('#scroll').dispatchEvent(new DragEvent('{kind}',"
            f" {{ dataTransfer: {given}('dropped.txt'), bubbles: true, cancelable: true }}))"
        )
        is_dropping = await alice.js("document.querySelector('#room').matches('.dropping')")
        assert is_dropping is (kind == "dragover")
    await alice.until(f"{CHOSEN}.join() === 'pasted.txt 1 B,dropped.txt 1 B'")
    for kind in ("dragover", "drop"):  # beside the room the browser would open the file instead
        assert not await alice.js(
            f"document.querySelector('#sidebar').dispatchEvent(new DragEvent('{kind}',"
            f" {{ dataTransfer: {given}('beside.txt'), bubbles: true, cancelable: true }}))"
        )
    await alice.click("#chosen [aria-label='Remove pasted.txt']")
    await alice.until(f"{CHOSEN}.join() === 'dropped.txt 1 B'")
    await say(alice, "see")
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    row = await alice.js("document.querySelector('#messages li:last-child .bubble').innerText")
    assert "dropped.txt 1 B" in row
    assert "see" in row
    assert await alice.js(f"{CHOSEN}.length") == 0


async def test_escape_leaves_one_thing_at_a_time(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The menu, wherever focus is; then what is composed, then the details. Nothing else closes."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "hello")
    await alice.until("document.querySelector('#messages .mark.queued')")
    await details(alice)
    await act(alice, ".reply")
    banner = "document.querySelector('#banner').checkVisibility()"
    side = "document.querySelector('#details').checkVisibility()"
    await alice.until(banner)
    await alice.click("#messages .more")
    await alice.js(f"{FIELD}.focus()")
    for left in ("banner, details", "details", ""):
        await alice.press("Escape", 27)
        await alice.frame()
        shown = f"[{banner} && 'banner', {side} && 'details'].filter(Boolean).join(', ')"
        await alice.until(f"{shown} === '{left}' && !{MENU}")
    assert await alice.js("document.querySelector('#room').checkVisibility()")


async def test_a_menu_goes_with_its_room(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Another room, by keys or the way back of the browser, closes it."""
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Garden")
    await direct(alice, names[1])
    await say(alice, "hello")
    await alice.until("document.querySelector('#messages .mark.queued')")
    await alice.click("#messages .more")
    await alice.until(MENU)
    await alice.press("ArrowDown", 40, ALT)
    await opened(alice, "Garden")
    await alice.until(f"!{MENU}")


async def test_the_focus_stays_in_the_message_that_one_reacts_to(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The row is drawn again with the reaction; ↑ and ↓ go on from there."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "one", "two")
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    await alice.js("document.querySelector('#scroll').focus()")
    await alice.press("ArrowUp", 38)
    await alice.press("Enter", 13)
    await alice.until(MENU)
    await alice.press("Enter", 13)
    await alice.until("document.querySelector('#messages .reactions button')")
    await alice.frame()
    await alice.frame()
    assert await alice.js("document.activeElement.closest('#messages li') !== null")


async def test_a_click_on_send_leaves_the_focus_in_the_text(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The next message can be typed at once, after a click and after a key on the button."""
    alice = await in_direct_room(chromium, dev_url, names)
    await alice.type("#compose textarea", "one")
    place = await alice.js(
        "(({x, y, width, height}) => ({x: x + width / 2, y: y + height / 2}))"
        "(document.querySelector('#compose .send').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        mouse = {"type": kind, "button": "left", "clickCount": 1, **place}
        await alice.call("Input.dispatchMouseEvent", **mouse)
    await alice.until(f"{SENT}.join() === 'one'")
    assert await alice.js(f"document.activeElement === {FIELD}")
    await alice.type("#compose textarea", "two")
    await alice.js("document.querySelector('#compose .send').focus()")
    await alice.press("Enter", 13)
    await alice.until(f"{SENT}.join() === 'one,two'")
    assert await alice.js(f"document.activeElement === {FIELD}")


STOPS = "document.querySelectorAll('#messages :is(a, button):not([tabindex=\"-1\"])').length"
NAMED = "document.activeElement.ariaLabel ?? document.activeElement.innerText"


async def test_the_messages_are_one_stop_of_the_tab_key(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """What can be done to a message follows it, named with it; ↑ comes back where one was."""
    alice = await in_direct_room(chromium, dev_url, names)
    await say(alice, "one https://example.com", "two", "three")
    await alice.until("document.querySelector('#messages li:last-child .mark.queued')")
    assert await alice.js(STOPS) == 0
    await alice.js("document.querySelector('#scroll').focus()")
    for _ in range(3):
        await alice.press("ArrowUp", 38)
    found = []
    for _ in range(5):
        await alice.press("Tab", 9)
        found.append(await alice.js(NAMED))
    of_one = ", You: one https://example.com"
    assert found[:4] == [
        "https://example.com",
        f"React 👍{of_one}",
        f"Reply{of_one}",
        f"Message actions{of_one}",
    ]
    assert not await alice.js("document.activeElement.closest('#messages')")
    assert await alice.js(STOPS) == 0
    await alice.js("document.querySelector('#scroll').focus()")
    await alice.press("ArrowUp", 38)
    assert "one" in await alice.js("document.activeElement.innerText")
