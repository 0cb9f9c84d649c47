"""Where one reads: what counts as read, and what stays in view."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    BELOW,
    both_with_direct_room,
    frame,
    in_direct_room,
    opened,
    say,
    send_files,
    signed_in,
    until,
    visit,
    write,
)
from tests.helpers.commands import ok
from tests.helpers.file_samples import png
from tests.helpers.world import World

AT_PILL = """
(({left, top, width, height}) => document.elementFromPoint(left + width / 2, top + height / 2))
(document.querySelector('#pill').getBoundingClientRect())
"""
UNDER_PILL = """
(({left, top}) => document.querySelectorAll('#messages .tools').forEach(({style}) =>
  Object.assign(style, {position: 'fixed', inset: `${top}px auto auto ${left}px`,
    opacity: 1, pointerEvents: 'auto'})))
(document.querySelector('#pill').getBoundingClientRect())
"""
"""The tools of the messages stand where the pill does."""
LAST_READ = "document.querySelector('#messages li:last-child .mark.read')"


async def test_only_visible_messages_are_marked_as_read(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Who reads further up has not read what comes below: a pill and a divider say so."""
    alice_id = names[0]
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, *(f"line {n}\n" * 8 for n in range(8)))
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await expect(bob.locator("#messages")).to_contain_text("line")
    await bob.evaluate("document.querySelector('#scroll').scrollTop = 99999")
    await until(alice, LAST_READ)

    await bob.evaluate("document.querySelector('#scroll').scrollTop = 0")
    await frame(bob)
    assert await bob.evaluate(BELOW) > 500
    await say(alice, "one", "two", "three")
    await expect(bob.locator("#pill")).to_have_text("3 new messages")
    await expect(bob.locator("#rooms .badge").first).to_have_text("3")
    assert await bob.evaluate("document.querySelector('#scroll').scrollTop") == 0
    await expect(alice.locator("#messages li:last-child .mark.delivered")).to_be_attached()
    assert not await alice.evaluate(LAST_READ)

    # Wherever a message has its buttons: the pill is above them.
    await bob.evaluate(f"({UNDER_PILL})")
    assert await bob.evaluate(f"{AT_PILL}.closest('#pill') !== null")
    await bob.click("#pill")
    await until(alice, LAST_READ)
    await until(bob, f"{BELOW} <= 1")
    first_new = "document.querySelector('#messages .divider').closest('li').innerText"
    assert "one" in await bob.evaluate(first_new)


AWAY = {
    "another window has the focus": (
        "document.hasFocus = () => false",
        "delete document.hasFocus; dispatchEvent(new Event('focus'))",
    ),
    "the tab is hidden": (
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true})",
        "delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))",
    ),
}
"""What a page sees that nobody looks at, and how that ends: a driven one is always looked at."""


@pytest.mark.parametrize("away", AWAY)
async def test_what_came_while_nobody_looked_is_read_when_it_is_seen(
    context: BrowserContext, dev_url: str, names: tuple[str, str], away: str
) -> None:
    """It waits at the divider, though it is more than the view holds: the rest is below a pill."""
    leave, come_back = AWAY[away]
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await say(alice, *(f"line {n}\n" * 3 for n in range(6)))
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    await expect(bob.locator("#messages")).to_contain_text("line")
    await bob.evaluate("document.querySelector('#scroll').scrollTop = 99999")
    await until(alice, LAST_READ)
    assert await bob.evaluate(BELOW) <= 1

    await bob.evaluate(leave)
    await say(alice, *(f"new {n}\n" * 4 for n in range(9)))
    await expect(bob.locator("#pill")).to_have_text("9 new messages")
    await expect(bob.locator("#messages .divider")).to_be_in_viewport()
    await expect(bob.locator("#messages li:has(.divider)")).to_contain_text("new 0")
    assert not await alice.evaluate(LAST_READ)

    await bob.evaluate(come_back)
    await expect(alice.locator("#messages li:has-text('new 0') .mark.read")).to_be_attached()
    await expect(bob.locator("#pill")).to_have_text(re.compile("^[1-8] new messages?$"))
    assert not await alice.evaluate(LAST_READ)
    await bob.click("#pill")
    await until(alice, LAST_READ)
    await expect(bob.locator("#rooms .badge").first).to_have_text("")


async def test_ones_own_message_is_in_view(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """The list ends at the bottom after an upload, after sends behind it, and after a reload."""
    picture = tmp_path / "holiday.png"
    picture.write_bytes(png(640, 900))
    alice = await in_direct_room(context, dev_url, names)
    await say(alice, *(f"line {n}\n" * 6 for n in range(4)))
    await alice.evaluate("document.querySelector('#scroll').scrollTop = 0")
    await write(alice, "#compose textarea", "caption")
    await send_files(alice, picture)
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    await until(alice, "document.querySelector('#messages img')?.naturalWidth === 640")
    await frame(alice)
    assert await alice.evaluate(BELOW) <= 1
    text = await alice.text_content("#messages li:last-child p")
    assert text == "caption"
    await say(alice, "1", "2", "3", "4", "5")
    await expect(alice.locator("#messages li:last-child .mark.queued")).to_be_attached()
    assert await alice.evaluate(BELOW) <= 1
    await alice.reload()
    await until(alice, "document.querySelector('#messages img')?.naturalWidth === 640")
    await frame(alice)
    assert await alice.evaluate(BELOW) <= 1

    await alice.click("#messages .picture")
    await until(alice, "document.querySelector('#lightbox img').naturalWidth === 640")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#lightbox")).to_have_count(0)


async def test_a_very_long_picture_is_opened_at_a_width_one_can_see(
    context: BrowserContext, dev_url: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """All of it in the window would be a line: it scrolls, by keys too."""
    alice = await in_direct_room(context, dev_url, names)
    tall, scroll = tmp_path / "tall.png", "document.querySelector('#lightbox .scroll')"
    tall.write_bytes(png(200, 4000))
    await send_files(alice, tall)
    await alice.click("#messages .picture")
    await until(alice, "document.querySelector('#lightbox img')?.offsetWidth === 200")
    assert await alice.evaluate(f"{scroll}.clientHeight < innerHeight")
    await alice.keyboard.press("End")
    await until(alice, f"{scroll}.scrollTop + {scroll}.clientHeight >= 4000")


WATCH_PILL = """
// Drawing comes late, as on a slow machine; meanwhile there are scrolls without end.
const soon = window.setTimeout;
window.setTimeout = (work, ms, ...rest) => soon(work, ms === 16 ? 160 : ms, ...rest);
window.early = 0;
const [pill, view] = ['#pill', '#scroll'].map((one) => document.querySelector(one));
const last = () => document.querySelector('#messages li:last-child p').textContent;
new MutationObserver(() => { if (pill.hidden && last() !== 'm59') window.early += 1; })
  .observe(pill, {attributes: true, attributeFilter: ['hidden']});
setInterval(() => view.dispatchEvent(new Event('scroll')), 1);
"""


async def test_the_pill_stays_until_the_newest_message_is_drawn(
    context: BrowserContext, world: World, dev_url: str, names: tuple[str, str]
) -> None:
    """A page of newer messages is here but not drawn yet: the end of the rows is not the end."""
    alice, bob = names
    page = await signed_in(context, dev_url, bob)
    async with world.js(alice) as a:
        created = await ok(a, "room.create", {"type": "direct", "members": [bob]})
        room_id = created["room"]["room_id"]
        for n in range(60):
            message = {"room_id": room_id, "client_msg_id": f"m{n}", "text": f"m{n}"}
            await ok(a, "message.send", message)
    await expect(page).to_have_title(re.compile(r"^\(60\)"))
    await page.evaluate(f"location.hash = '{room_id}'")
    await expect(page.locator("#messages .divider").first).to_be_attached()
    await page.evaluate(f"{{{WATCH_PILL}}}")
    await until(
        page,
        "(document.querySelector('#scroll').scrollTop = 99999,"
        " !document.querySelector('#pill').checkVisibility())",
    )
    assert await page.text_content("#messages li:last-child p") == "m59"
    assert await page.evaluate("early") == 0


LIST = """
const { VirtualList } = await import('/web/virtual-list.js');
const [view, list] = [document.createElement('div'), document.createElement('ol')];
view.id = 'scroll';
list.id = 'messages';
view.append(list);
document.body.replaceChildren(view);
const draw = ({key}) => {
  const row = document.createElement('li');
  row.textContent = `row ${key}\\n`.repeat(1 + Number(key) % 7);
  row.style.whiteSpace = 'pre';
  return row;
};
const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
const below = () => view.scrollHeight - view.scrollTop - view.clientHeight;
const rows = new VirtualList(view, list, draw, () => {});
const numbered = (count, first = 0) =>
  Array.from({length: count}, (_, n) => ({key: String(n + first)}));
"""
"""A list in a page of its own: `rows` draws `view`, `numbered` makes items."""


async def in_list(context: BrowserContext, dev_url: str, code: str) -> Any:
    """What the body of an async function returns that has the names of LIST."""
    page = await visit(context, f"{dev_url}/")
    await page.set_viewport_size({"width": 1000, "height": 800})
    await expect(page.locator("#sign-in")).to_be_attached()
    return await page.evaluate(f"(async () => {{{LIST}{code}}})()")


async def test_ten_thousand_rows(context: BrowserContext, dev_url: str) -> None:
    """Of 10,000 rows only those near the view are in the document, and rows above move nothing."""
    result = await in_list(
        context,
        dev_url,
        """
        const items = numbered(10_000, 500);
        rows.show(items);
        await frame();
        const end = below();
        let most = 0;
        for (let step = 0; step < 50; step += 1) {
          view.scrollTop -= 700;
          await frame();
          most = Math.max(most, list.children.length);
        }
        const isSeen = (row) => row.getBoundingClientRect().bottom > 1;
        const top = () => [...list.children].find(isSeen);
        const before = [top().dataset.key, Math.round(top().getBoundingClientRect().top)];
        rows.show([...numbered(500), ...items]);
        await frame();
        const after = [top().dataset.key, Math.round(top().getBoundingClientRect().top)];
        return {end, most, before, after};
        """,
    )
    assert result["end"] <= 1
    assert result["most"] < 120
    assert result["before"] == result["after"]


async def test_a_scroll_holds_against_a_redraw_in_its_frame(
    context: BrowserContext, dev_url: str
) -> None:
    """Rows that come before the event of a scroll leave the view where the user brought it."""
    below = await in_list(
        context,
        dev_url,
        """
        rows.show(numbered(200));
        await frame();
        view.scrollTop -= 3000;
        rows.show(numbered(201));
        await frame();
        return below();
        """,
    )
    assert below > 2900


async def test_a_row_that_grows_moves_nothing(context: BrowserContext, dev_url: str) -> None:
    """A picture of unknown size comes: the end stays in view, and what one reads where it is."""
    result = await in_list(
        context,
        dev_url,
        """
        // A scroll measures all rows: let its events pass, so that the growth alone counts.
        const calm = async () => { for (let n = 0; n < 5; n += 1) await frame(); };
        rows.show(numbered(200));
        await calm();
        const bottom = (node) => Math.round(node.getBoundingClientRect().bottom);
        const end = bottom(list.lastElementChild);
        list.lastElementChild.style.height = '900px';
        await calm();
        const grown = bottom(list.lastElementChild);
        view.scrollTop -= 4000;
        await calm();
        const row = [...list.children].find((one) => bottom(one) > 1);
        const before = bottom(row);
        row.previousElementSibling.style.height = '700px';
        await calm();
        return {end, grown, before, after: bottom(row)};
        """,
    )
    assert result["grown"] == result["end"]
    assert result["after"] == result["before"]
