"""What belongs to a message: mentions, answers, reactions of one's choice."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium
from tests.browser.session import act, direct, group, opened, say, signed_in

TYPED = "document.querySelector('#compose textarea').value"
OFFERED = "[...document.querySelectorAll('#suggestions li')].map((one) => one.dataset.user).join()"
LAST = "document.querySelector('#messages li:last-child')"


async def test_mentions_are_completed(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """An @ offers members by the letters typed; the one who is meant sees their name stand out."""
    alice_id, bob_id = names
    carol_id = bob_id.replace("bob", "bobby")
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "Team", bob_id, carol_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await alice.until("document.querySelector('#members').textContent.includes('bobby')")

    await alice.type("#compose textarea", "a mail to x@b")
    await alice.until(f"{TYPED} === 'a mail to x@b'")
    assert not await alice.js("document.querySelector('#suggestions').checkVisibility()")
    await alice.type("#compose textarea", "oss, and @")
    await alice.until(f"{OFFERED} === '{bob_id},{carol_id}'")
    await alice.type("#compose textarea", "bobb")
    await alice.until(f"{OFFERED} === '{carol_id}'")
    for _ in range(2):
        await alice.press("Backspace", 8)
    await alice.until(f"{OFFERED} === '{bob_id},{carol_id}'")
    await alice.press("Escape", 27)
    await alice.until("!document.querySelector('#suggestions').checkVisibility()")
    await alice.press("Backspace", 8)
    await alice.until(f"{OFFERED} === '{bob_id},{carol_id}'")
    await alice.press("ArrowDown", 40)
    await alice.press("Enter", 13)
    await alice.until(f"{TYPED} === 'a mail to x@boss, and @{carol_id} '")
    assert not await alice.js("document.querySelector('#messages li')")
    await alice.type("#compose textarea", "@")
    await alice.click("#suggestions")
    await alice.js(
        "document.querySelector('#suggestions li')"
        ".dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))"
    )
    await alice.until(f"{TYPED} === 'a mail to x@boss, and @{carol_id} @{bob_id} '")
    await alice.press("Enter", 13)

    marks = f"[...{LAST}.querySelectorAll('.mention')].map((one) => one.textContent).join()"
    await bob.until(f"{LAST} && {marks} === '@{carol_id},@{bob_id}'")
    assert await bob.js(f"{LAST}.querySelector('.mention.me').textContent") == f"@{bob_id}"
    await alice.until(f"{LAST} && {marks} === '@{carol_id},@{bob_id}'")
    assert not await alice.js(f"{LAST}.querySelector('.mention.me')")


async def test_the_names_to_choose_from_leave_the_typing_line_free(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """One sees who types while one chooses whom to mention; on a telephone as well."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await alice.type("#compose textarea", "@")
    await alice.until("document.querySelector('#suggestions').checkVisibility()")
    await bob.type("#compose textarea", "h")
    await alice.until("document.querySelector('#typing').textContent")
    end = "document.querySelector('#suggestions').getBoundingClientRect().bottom"
    assert await alice.js(f"{end} <= document.querySelector('#typing').getBoundingClientRect().top")
    await alice.size(390, 844, touch=True)
    assert await alice.js(f"{end} <= document.querySelector('#typing').getBoundingClientRect().top")


async def test_a_mention_may_end_a_sentence(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Signs behind a name are not part of it; a name that goes on is another one."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    await group(alice, "Team", bob_id)
    await alice.until(f"document.querySelector('#members').textContent.includes('{bob_id}')")
    await say(alice, f"ask (@{bob_id})!, not @{bob_id}x")
    marks = f"[...{LAST}.querySelectorAll('.mention')].map((one) => one.textContent).join()"
    await alice.until(f"{LAST} && {marks} === '@{bob_id}'")


async def test_an_answer_shows_and_leads_to_what_it_answers(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """A quote above the answer in both windows, and a click on it brings the message into view."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await say(alice, "the question", *(f"line {n}\n" * 6 for n in range(8)))
    await alice.until(f"{LAST}?.querySelector('.mark.delivered')")
    await alice.js("document.querySelector('#scroll').scrollTop = 0")
    first = "document.querySelector('#messages li:first-child').innerText"
    await alice.until(f"{first}.includes('the question')")
    await act(alice, ".reply", "#messages li:first-child")
    banner = "document.querySelector('#banner').innerText"
    await alice.until(f"{banner}.includes('Replying to You') && {banner}.includes('the question')")
    await alice.press("Escape", 27)
    await alice.until("!document.querySelector('#banner').checkVisibility()")
    await act(alice, ".reply", "#messages li:first-child")
    await say(alice, "the answer")

    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await bob.until("document.querySelector('#messages .divider')")
    await bob.js("document.querySelector('#scroll').scrollTop = 99999")
    quote = f"{LAST}?.querySelector('.quote').innerText"
    await bob.until(f"{LAST}?.innerText.includes('the answer')")
    assert await bob.js(quote) == f"{alice_id}\nthe question"
    await bob.click("#messages li:last-child .quote")
    await bob.until("document.activeElement.matches('li')")
    assert "the question" in await bob.js("document.activeElement.innerText")
    assert await bob.js("document.activeElement.getBoundingClientRect().top") > 0


async def test_what_belongs_together_is_one_group(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Messages of one sender have one name and one time, that of the last; the day is above."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await say(bob, "one", "two", "three")
    await alice.until("document.querySelectorAll('#messages li').length === 3")
    await say(alice, "four")
    await bob.until("document.querySelectorAll('#messages li').length === 4")
    of_row = "[...document.querySelectorAll('#messages li')].map((row) => %s).join()"
    names_of = of_row % "row.querySelector('.name')?.textContent ?? ''"
    assert await alice.js(names_of) == f"{bob_id},,,"
    assert await bob.js(names_of) == f",,,{alice_id}"
    time = "getComputedStyle(row.querySelector('time')).opacity"
    await alice.js("document.activeElement.blur()")
    await alice.until(f"{of_row % time} === '0,0,1,1'")
    assert await alice.js(of_row % "row.querySelector('.day')?.textContent ?? ''") == "Today,,,"


async def test_any_emoji_and_the_last_ones_first(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """The menu has more emoji behind a button; what was used is first, after a reload too."""
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Team")
    await say(alice, "cake?")
    await alice.until(f"{LAST}?.querySelector('.mark.queued')")
    await alice.click("#messages .more")
    first = "document.querySelector('#menu .emoji button').textContent"
    assert await alice.js(first) == "👍"
    await alice.click("#menu .more-emoji")
    await alice.until("document.querySelectorAll('#menu .emoji button').length > 40")
    await alice.click("#menu [aria-label='React 🎂']")
    await alice.until(f"{LAST}.querySelector('.reactions .react')?.textContent === '🎂 1'")
    await alice.call("Page.reload")
    await opened(alice, "Team")
    await alice.click("#messages .more")
    assert await alice.js(first) == "🎂"
    await alice.click("#menu [aria-label^='React ❤']")
    heart = f"[...{LAST}.querySelectorAll('.reactions .react')].map((one) => one.textContent)"
    await alice.until(f"{heart}.includes('❤\\ufe0f 1')")


COVERED = """
(() => {
  const tools = document.querySelector('li:hover .tools').getBoundingClientRect();
  const texts = document.querySelectorAll('#messages p, #messages .foot');
  return [...texts].filter((text) => {
    const {left, right, top, bottom} = text.getBoundingClientRect();
    return left < tools.right && tools.left < right && top < tools.bottom && tools.top < bottom;
  }).map((text) => text.innerText);
})()
"""


async def test_the_tools_under_the_mouse_cover_no_text(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Of this message and those around it, short and long, of both people, in a narrow window."""
    alice_id, bob_id = names
    alice = await signed_in(chromium, dev_url, alice_id)
    bob = await signed_in(chromium, dev_url, bob_id)
    await direct(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    for page in (alice, bob):
        await say(page, "a", "b", "long " * 40, "c")
        await alice.until(f"{LAST}?.querySelector('p')?.textContent === 'c'")
    await alice.until("document.querySelectorAll('#messages li').length === 8")
    for width in (1280, 720):
        await alice.size(width, 900)
        await alice.frame()
        for row in range(8):
            place = await alice.js(
                "(({x, y, height}) => ({x: x + 20, y: y + height / 2}))"
                f"(document.querySelectorAll('#messages .bubble')[{row}].getBoundingClientRect())"
            )
            await alice.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
            await alice.until("document.querySelector('li:hover .tools')")
            assert await alice.js(COVERED) == [], (width, row)
            edges = "document.querySelector('li:hover .tools').getBoundingClientRect()"
            assert await alice.js(f"{edges}.right <= innerWidth"), (width, row)
            assert await alice.js(f"{edges}.left >= document.querySelector('#pane').offsetLeft")


LINKS = {
    "(see https://a.b/c_(d))": ["https://a.b/c_(d)"],
    "https://a.b/c_(d), and (https://a.b/c).": ["https://a.b/c_(d)", "https://a.b/c"],
    "is it [https://a.b/?c[]=d]?": ["https://a.b/?c[]=d"],
    "say 'https://a.b/c'!": ["https://a.b/c"],
    "https://a.b/c) https://a.b/(c": ["https://a.b/c", "https://a.b/(c"],
    "https:// http://... nothing": [],
}


async def test_a_link_ends_where_a_reader_expects(
    chromium: Chromium, dev_url: str, names: tuple[str, str]
) -> None:
    """Signs of the sentence are not part of it, nor a bracket around it; one within it is."""
    alice = await signed_in(chromium, dev_url, names[0])
    await group(alice, "Team")
    links = f"[...{LAST}.querySelectorAll('p a')].map((one) => one.getAttribute('href'))"
    for text, expected in LINKS.items():
        await say(alice, text)
        await alice.until(f"{LAST}?.querySelector('p').textContent === {json.dumps(text)}")
        assert await alice.js(links) == expected


LONG_TEXTS = """(async () => {
  const { parts } = await import('/web/format.js');
  let looked = 0; // characters
  const { test } = RegExp.prototype, { split } = String.prototype;
  RegExp.prototype.test = function (text) { looked += text.length; return test.call(this, text); };
  String.prototype.split = function (by) { looked += this.length; return split.call(this, by); };
  const links = parts('https://a.b/' + ')'.repeat(4000));
  const mentions = parts('@bob' + '!'.repeat(4000), ['bob']);
  return [links[0], mentions[0], looked < 100_000];
})()"""


async def test_signs_behind_a_link_or_a_mention_are_looked_at_once(
    chromium: Chromium, dev_url: str
) -> None:
    """Of the longest text too: it is drawn again with every key that one types."""
    page = await chromium.open(f"{dev_url}/")
    await page.until("document.querySelector('#sign-in')")
    link = {"kind": "link", "text": "https://a.b/"}
    mention = {"kind": "mention", "text": "@bob"}
    assert await page.promise(LONG_TEXTS) == [link, mention, True]
