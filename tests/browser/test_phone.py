"""The page on a telephone: one pane, nothing off the screen."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    details,
    direct,
    frame,
    in_direct_room,
    opened,
    say,
    signed_in,
    until,
    write,
)

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
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """At 390 × 844 there is the list, then the room with a way back; targets have 44 px."""
    alice_id, bob_id = names
    alice = await signed_in(phone, dev_url, alice_id)
    await direct(alice, bob_id)
    await say(alice, "hello " + "long" * 40)
    await expect(alice.locator("#messages .mark.queued").first).to_be_attached()
    assert await alice.evaluate(FITS)
    assert not await alice.is_visible("#sidebar")
    for part in ("#compose .send", "#compose textarea", "#back", "#title"):
        assert await alice.evaluate(INSIDE % part), part
    assert not (found := await alice.evaluate(SMALL)), found
    await details(alice)
    assert await alice.evaluate(FITS)
    assert not (found := await alice.evaluate(SMALL)), found
    await alice.click("#details [data-action=close]")

    await alice.click("#back")
    await expect(alice.locator("#sidebar")).to_be_visible()
    assert not await alice.is_visible("#room")
    assert await alice.evaluate(FITS)
    assert not (found := await alice.evaluate(SMALL)), found


async def test_the_empty_list_has_a_button_for_the_first_chat(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """On a telephone nothing stands beside the list that could offer it."""
    alice = await signed_in(phone, dev_url, names[0])
    assert await alice.inner_text("#no-rooms + button") == "New chat"
    await alice.click("#no-rooms + button")
    await write(alice, "#new-direct input", names[1], enter=True)
    await opened(alice, names[1])
    await alice.click("#back")
    await expect(alice.locator("#rooms li")).to_have_count(1)
    assert not await alice.is_visible("#no-rooms + button")


LIST, ROOM, DETAILS = (
    f"document.querySelector('{part}').checkVisibility()"
    for part in ("#sidebar", "#room", "#details")
)
STEP = "navigation.currentEntry.index"


async def test_the_way_back_of_the_browser_leads_to_no_view_that_was_left(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Details, chat, list; whatever closes one takes its step away, and a reload keeps it."""
    alice_id, bob_id = names
    alice = await signed_in(phone, dev_url, alice_id)
    first = await alice.evaluate(STEP)
    await direct(alice, bob_id)
    for leave in (
        "history.back()",
        "document.querySelector('#details [data-action=close]').click()",
    ):
        await details(alice)
        await alice.evaluate(leave)
        await until(alice, f"!{DETAILS} && {STEP} === {first + 1}")
        assert await alice.evaluate(ROOM)
    await details(alice)
    await alice.reload()
    await until(alice, f"document.querySelector('#details') && {DETAILS}")
    await alice.evaluate("history.back()")
    await until(alice, f"!{DETAILS} && {ROOM}")
    for leave in ("history.back()", "document.querySelector('#back').click()"):
        await alice.evaluate(leave)
        await until(alice, f"{LIST} && {STEP} === {first}")
        await alice.click("#rooms button")
        await until(alice, f"{ROOM} && {STEP} === {first + 1}")
    await details(alice)
    await alice.click("#hide")
    await until(alice, f"{LIST} && {STEP} === {first}")


async def test_a_chat_that_was_opened_by_its_address_gives_its_step_to_the_list(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """There is no list below it to go back to."""
    alice_id, bob_id = names
    alice = await signed_in(phone, dev_url, alice_id)
    await direct(alice, bob_id)
    room_id = await alice.evaluate("location.hash")
    page = await signed_in(phone, dev_url, f"{alice_id}{room_id}")
    first = await page.evaluate(STEP)
    await opened(page, bob_id)
    await details(page)
    await page.click("#hide")
    await until(page, f"{LIST} && {STEP} === {first} && location.hash === ''")
    await page.click(".toast [data-action=act]")
    await until(page, ROOM)


async def test_enter_breaks_the_line_where_one_types_with_fingers(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The button sends."""
    alice = await signed_in(phone, dev_url, names[0])
    await direct(alice, names[1])
    await write(alice, "#compose textarea", "one", enter=True)
    await write(alice, "#compose textarea", "two")
    await expect(alice.locator("#compose textarea").first).to_have_value("one\ntwo")
    await alice.click("#compose .send")
    sent = "[...document.querySelectorAll('#messages p')].map((one) => one.textContent).join('|')"
    await until(alice, f"{sent} === 'one\\ntwo'")


RESTS = """
window.rests = new Map();
const [start, stop] = [setTimeout, clearTimeout];
window.setTimeout = (act, ms, ...more) => {
  if (ms !== 500) return start(act, ms, ...more);
  rests.set(-1 - rests.size, act);
  return -rests.size;
};
window.clearTimeout = (id) => rests.delete(id) || stop(id);
"""
"""The half second after which a finger rests ends when the test says so."""


async def test_a_finger_that_rests_on_a_message_opens_its_menu(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """It selects no text, and leaves without a click; one that scrolls opens nothing."""
    await phone.add_init_script(RESTS)
    alice = await signed_in(phone, dev_url, names[0])
    await direct(alice, names[1])
    await say(alice, *(f"line {n}\n" * 8 for n in range(6)))
    await until(alice, "document.querySelector('#messages li:last-child .mark.queued')")
    finger = await phone.new_cdp_session(alice)
    x, y = await alice.evaluate(
        "(({left, top}) => [left + 40, top + 40])"
        "(document.querySelector('#messages li:last-child .bubble').getBoundingClientRect())"
    )

    async def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in points]
        await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    top = "document.querySelector('#scroll').scrollTop"
    before = await alice.evaluate(top)
    await touch("touchStart", (x, y))
    for step in range(1, 9):
        await touch("touchMove", (x, y + 20 * step))
    await until(alice, f"{top} < {before}")
    assert await alice.evaluate("rests.size") == 0
    await touch("touchEnd")
    assert not await alice.locator("#menu").count()

    await touch("touchStart", (x, y))
    await until(alice, "rests.size")
    await alice.evaluate("rests.forEach((act) => act())")
    await expect(alice.locator("#menu")).to_be_visible()
    text = "document.querySelector('#messages .bubble p')"
    assert await alice.evaluate(f"getComputedStyle({text}).userSelect") == "none"
    await touch("touchEnd")
    await frame(alice)
    await expect(alice.locator("#menu")).to_be_visible()
    await alice.click("#menu .reply")
    await expect(alice.locator("#banner")).to_contain_text("line")


async def test_a_long_press_is_one_whatever_the_browser_tells_of_it(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """On iOS the time alone, on Android an event of its own too; a click at its end is none."""
    await phone.add_init_script(RESTS)
    alice = await signed_in(phone, dev_url, names[0])
    await direct(alice, names[1])
    await say(alice, "look https://example.com")
    await until(alice, "document.querySelector('#messages li:last-child .mark.queued')")
    is_taken = await alice.evaluate("""() => {
      const link = document.querySelector('#messages a');
      const event = {pointerType: 'touch', isPrimary: true, bubbles: true, clientX: 5, clientY: 5};
      link.dispatchEvent(new PointerEvent('pointerdown', event));
      for (const act of rests.values()) act();
      const menu = document.querySelector('#menu');
      const own = new PointerEvent('contextmenu', {...event, cancelable: true});
      if (link.dispatchEvent(own) || menu !== document.querySelector('#menu')) return false;
      link.dispatchEvent(new PointerEvent('pointerup', event));
      return !link.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
    }""")
    assert is_taken
    await expect(alice.locator("#menu")).to_be_visible()


async def test_the_browsers_own_swipe_back_is_left_to_it(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """What scrolls keeps what is beyond its ends up and down, and nothing of a swipe sideways."""
    alice = await signed_in(phone, dev_url, names[0])
    await direct(alice, names[1])
    kept = await alice.evaluate(
        "[...document.querySelectorAll('body, body *')].filter("
        "(node) => getComputedStyle(node).overscrollBehaviorX !== 'auto').map((node) => node.id)"
    )
    assert not kept


WATCH_BACK = """{
  window.CloseWatcher = class extends CloseWatcher {
    constructor(...given) { super(...given); window.watcher = this; }
  };
  null;
}"""


async def test_the_way_back_of_a_telephone_closes_a_menu_first(
    phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Where the browser tells of it: the chat stays open."""
    alice = await in_direct_room(phone, dev_url, names)
    await say(alice, "hello")
    await alice.evaluate(WATCH_BACK)
    await alice.tap("#messages .more")
    await expect(alice.locator("#menu")).to_be_visible()
    await alice.evaluate("watcher.requestClose()")  # as Android does
    await expect(alice.locator("#menu")).to_have_count(0)
    await expect(alice.locator("#messages .more")).to_be_focused()
    await expect(alice.locator("#room")).to_be_visible()
