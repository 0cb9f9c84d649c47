"""What belongs to a message: mentions, answers, reactions of one's choice."""

from __future__ import annotations

import json

from playwright.async_api import BrowserContext, expect

from tests.browser.session import (
    act,
    direct,
    frame,
    group,
    opened,
    say,
    signed_in,
    until,
    use_tool,
    visit,
    write,
)

FIELD = "#compose textarea"
OFFERED = "#suggestions li"
LAST = "document.querySelector('#messages li:last-child')"


async def test_mentions_are_completed(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """An @ offers members by the letters typed; the one who is meant sees their name stand out."""
    alice_id, bob_id = names
    carol_id = bob_id.replace("bob", "bobby")
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id, carol_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await expect(alice.locator("#members")).to_contain_text("bobby")

    await write(alice, "#compose textarea", "a mail to x@b")
    await expect(alice.locator(FIELD)).to_have_value("a mail to x@b")
    assert not await alice.is_visible("#suggestions")
    await write(alice, "#compose textarea", "oss, and @")
    await expect(alice.locator(OFFERED)).to_contain_text([bob_id, carol_id])
    await write(alice, "#compose textarea", "bobb")
    await expect(alice.locator(OFFERED)).to_contain_text([carol_id])
    for _ in range(2):
        await alice.keyboard.press("Backspace")
    await expect(alice.locator(OFFERED)).to_contain_text([bob_id, carol_id])
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#suggestions")).to_be_hidden()
    await alice.keyboard.press("Backspace")
    await expect(alice.locator(OFFERED)).to_contain_text([bob_id, carol_id])
    await alice.keyboard.press("ArrowDown")
    await alice.keyboard.press("Enter")
    await expect(alice.locator(FIELD)).to_have_value(f"a mail to x@boss, and @{carol_id} ")
    assert not await alice.evaluate("document.querySelector('#messages li')")
    await write(alice, "#compose textarea", "@")
    await alice.click("#suggestions li")
    await expect(alice.locator(FIELD)).to_have_value(
        f"a mail to x@boss, and @{carol_id} @{bob_id} "
    )
    await alice.keyboard.press("Enter")

    marks = f"[...{LAST}.querySelectorAll('.mention')].map((one) => one.textContent).join()"
    await until(bob, f"{LAST} && {marks} === '@{carol_id},@{bob_id}'")
    assert await bob.evaluate(f"{LAST}.querySelector('.mention.me').textContent") == f"@{bob_id}"
    await until(alice, f"{LAST} && {marks} === '@{carol_id},@{bob_id}'")
    assert not await alice.evaluate(f"{LAST}.querySelector('.mention.me')")


async def test_the_names_to_choose_from_leave_the_typing_line_free(
    context: BrowserContext, phone: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """One sees who types while one chooses whom to mention; on a telephone as well."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    on_phone = await signed_in(phone, dev_url, alice_id)
    for page in (on_phone, bob):
        await page.click("#rooms li button")
        await opened(page, "Team")
    end = "document.querySelector('#suggestions').getBoundingClientRect().bottom"
    top = "document.querySelector('#typing').getBoundingClientRect().top"
    for page in (alice, on_phone):
        await write(page, "#compose textarea", "@")
        await expect(page.locator("#suggestions")).to_be_visible()
        await write(bob, "#compose textarea", "h")
        await until(page, "document.querySelector('#typing').textContent")
        assert await page.evaluate(f"{end} <= {top}")


LATE = """
window.late = [];
const soon = setTimeout;
window.setTimeout = (act, ms, ...more) => ms === 200 ? late.push(act) : soon(act, ms, ...more);
"""
"""What waits for a fifth of a second, as a blurred field does, waits until the test says so."""


async def test_the_names_to_choose_from_stay_for_who_comes_back_to_the_text(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The field lost the focus, and had it again before the names were taken away."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Team", names[1])
    await expect(alice.locator("#members")).to_contain_text(names[1])
    await alice.evaluate(LATE)
    await alice.focus(FIELD)
    await alice.focus("#search")
    await write(alice, FIELD, "@")
    await expect(alice.locator(OFFERED)).to_contain_text([names[1]])
    await alice.evaluate("late.forEach((act) => act())")
    assert await alice.is_visible(OFFERED)


async def test_a_mention_may_end_a_sentence(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Signs behind a name are not part of it; a name that goes on is another one."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    await group(alice, "Team", bob_id)
    await expect(alice.locator("#members")).to_contain_text(f"{bob_id}")
    await say(alice, f"ask (@{bob_id})!, not @{bob_id}x")
    marks = f"[...{LAST}.querySelectorAll('.mention')].map((one) => one.textContent).join()"
    await until(alice, f"{LAST} && {marks} === '@{bob_id}'")


async def test_an_answer_shows_and_leads_to_what_it_answers(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """A quote above the answer in both windows, and a click on it brings the message into view."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await say(alice, "the question", *(f"line {n}\n" * 6 for n in range(8)))
    await until(alice, f"{LAST}?.querySelector('.mark.delivered')")
    await alice.evaluate("document.querySelector('#scroll').scrollTop = 0")
    first = "document.querySelector('#messages li:first-child').innerText"
    await until(alice, f"{first}.includes('the question')")
    await act(alice, ".reply", "#messages li:first-child")
    banner = "document.querySelector('#banner').innerText"
    await until(alice, f"{banner}.includes('Replying to You') && {banner}.includes('the question')")
    await alice.keyboard.press("Escape")
    await expect(alice.locator("#banner")).to_be_hidden()
    await act(alice, ".reply", "#messages li:first-child")
    await say(alice, "the answer")

    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    await expect(bob.locator("#messages .divider").first).to_be_attached()
    await bob.evaluate("document.querySelector('#scroll').scrollTop = 99999")
    quoted = f"{LAST}?.querySelectorAll('.quote > [aria-hidden]')"
    quote = f"[...{quoted}].map((one) => one.innerText).join('\\n')"
    await until(bob, f"{LAST}?.innerText.includes('the answer')")
    assert await bob.evaluate(quote) == f"{alice_id}\nthe question"
    await bob.click("#messages li:last-child .quote")
    await until(bob, "document.activeElement.matches('li')")
    assert "the question" in await bob.evaluate("document.activeElement.innerText")
    assert await bob.evaluate("document.activeElement.getBoundingClientRect().top") > 0


async def test_what_belongs_together_is_one_group(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Messages of one sender have one name and one time, that of the last; the day is above."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await group(alice, "Team", bob_id)
    await bob.click("#rooms li button")
    await opened(bob, "Team")
    await say(bob, "one", "two", "three")
    await expect(alice.locator("#messages li")).to_have_count(3)
    await say(alice, "four")
    await expect(bob.locator("#messages li")).to_have_count(4)
    of_row = "[...document.querySelectorAll('#messages li')].map((row) => %s).join()"
    names_of = of_row % "row.querySelector('.name')?.textContent ?? ''"
    assert await alice.evaluate(names_of) == f"{bob_id},,,"
    assert await bob.evaluate(names_of) == f",,,{alice_id}"
    time = "getComputedStyle(row.querySelector('time')).opacity"
    await alice.evaluate("document.activeElement.blur()")
    await until(alice, f"{of_row % time} === '0,0,1,1'")
    assert (
        await alice.evaluate(of_row % "row.querySelector('.day')?.textContent ?? ''") == "Today,,,"
    )


async def test_any_emoji_and_the_last_ones_first(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """The menu has more emoji behind a button; what was used is first, after a reload too."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Team")
    await say(alice, "cake?")
    await until(alice, f"{LAST}?.querySelector('.mark.queued')")
    await use_tool(alice, ".more", "#messages li:first-child")
    first = "document.querySelector('#menu .emoji button').textContent"
    assert await alice.evaluate(first) == "👍"
    await alice.click("#menu .more-emoji")
    await until(alice, "document.querySelectorAll('#menu .emoji button').length > 40")
    await alice.click("#menu [aria-label='React 🎂']")
    await until(alice, f"{LAST}.querySelector('.reactions .react')?.textContent === '🎂 1'")
    await alice.reload()
    await opened(alice, "Team")
    await use_tool(alice, ".more", "#messages li:first-child")
    assert await alice.evaluate(first) == "🎂"
    await alice.click("#menu [aria-label^='React ❤']")
    heart = f"[...{LAST}.querySelectorAll('.reactions .react')].map((one) => one.textContent)"
    await until(alice, f"{heart}.includes('❤\\ufe0f 1')")


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
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Of this message and those around it, short and long, of both people, in a narrow window."""
    alice_id, bob_id = names
    alice = await signed_in(context, dev_url, alice_id)
    bob = await signed_in(context, dev_url, bob_id)
    await direct(alice, bob_id)
    await bob.click("#rooms li button")
    await opened(bob, alice_id)
    for page in (alice, bob):
        await say(page, "a", "b", "long " * 40, "c")
        await until(alice, f"{LAST}?.querySelector('p')?.textContent === 'c'")
    await expect(alice.locator("#messages li")).to_have_count(8)
    for width in (1280, 720):
        await alice.set_viewport_size({"width": width, "height": 900})
        await frame(alice)
        for row in range(8):
            bubble = alice.locator("#messages .bubble").nth(row)
            await bubble.hover(position={"x": 20, "y": 16})
            await expect(alice.locator("li:hover .tools").first).to_be_attached()
            assert await alice.evaluate(COVERED) == [], (width, row)
            edges = "document.querySelector('li:hover .tools').getBoundingClientRect()"
            assert await alice.evaluate(f"{edges}.right <= innerWidth"), (width, row)
            assert await alice.evaluate(
                f"{edges}.left >= document.querySelector('#pane').offsetLeft"
            )


LINKS = {
    "(see https://a.b/c_(d))": ["https://a.b/c_(d)"],
    "https://a.b/c_(d), and (https://a.b/c).": ["https://a.b/c_(d)", "https://a.b/c"],
    "is it [https://a.b/?c[]=d]?": ["https://a.b/?c[]=d"],
    "say 'https://a.b/c'!": ["https://a.b/c"],
    "https://a.b/c) https://a.b/(c": ["https://a.b/c", "https://a.b/(c"],
    "https:// http://... nothing": [],
    "Www.a.org, www.a.b/c?d=e.": ["https://Www.a.org", "https://www.a.b/c?d=e"],
    "www. www.a www... awww.a.b x@www.a.b x/www.a.b": [],
}


async def test_a_link_ends_where_a_reader_expects(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Signs of the sentence are not part of it, nor a bracket around it; one within it is."""
    alice = await signed_in(context, dev_url, names[0])
    await group(alice, "Team")
    links = f"[...{LAST}.querySelectorAll('p a')].map((one) => one.getAttribute('href'))"
    for text, expected in LINKS.items():
        await say(alice, text)
        await until(alice, f"{LAST}?.querySelector('p').textContent === {json.dumps(text)}")
        assert await alice.evaluate(links) == expected


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
    context: BrowserContext, dev_url: str
) -> None:
    """Of the longest text too: it is drawn again with every key that one types."""
    page = await visit(context, f"{dev_url}/")
    await expect(page.locator("#sign-in")).to_be_attached()
    link = {"kind": "link", "text": "https://a.b/"}
    mention = {"kind": "mention", "text": "@bob"}
    assert await page.evaluate(LONG_TEXTS) == [link, mention, True]
