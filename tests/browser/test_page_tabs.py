"""The page in two tabs of one user, and when the server's answer to a message is lost."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import (
    both_with_direct_room,
    cut,
    online,
    opened,
    reconnect,
    say,
    until,
    visit,
)

TEXTS = "#messages .bubble p"

LOSE = """
window.lost = 0;
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', (event) => {
      if (!window.loses || !/^43[/]chat,[0-9]+\\[.*client_msg_id/.test(String(event.data))) return;
      event.stopImmediatePropagation();
      if (window.loses === 'with the connection') this.close();
      window.loses = undefined;
      window.lost += 1;
    });
  }
};
"""
"""One answer to a message does not arrive: it alone, or since the connection ends."""


async def second_tab(tab: Page, title: str) -> Page:
    """Another tab of the same user, with the same room open."""
    second = await visit(tab.context, tab.url)
    await online(second)
    await opened(second, title)
    return second


async def test_two_tabs_of_a_user_have_one_outbox(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Each shows what the other sent; what a closed one left unsent, the other sends once."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    second = await second_tab(alice, names[1])
    await say(alice, "from the first")
    await expect(second.locator(TEXTS)).to_have_text(["from the first"])
    await say(second, "from the second")
    await expect(alice.locator(TEXTS)).to_have_text(["from the first", "from the second"])

    await cut(second)
    await say(second, "left behind")
    await expect(second.locator("#messages .mark.sending")).to_have_count(1)
    await say(alice, "typed later")
    await second.close()
    await expect(alice.locator(TEXTS)).to_contain_text(["left behind"])
    await reconnect(alice)
    everything = ["from the first", "from the second", "left behind", "typed later"]
    for page in (alice, bob):
        await until(page, "document.querySelectorAll('#messages .bubble p').length === 4")
        assert sorted(await page.locator(TEXTS).all_inner_texts()) == sorted(everything)
    await expect(alice.locator("#messages .mark.read")).to_have_count(4)


@pytest.mark.parametrize("how", ["alone", "with the connection"])
async def test_a_message_whose_answer_is_lost_is_sent_once(
    context: BrowserContext, dev_url: str, names: tuple[str, str], how: str
) -> None:
    """It is asked for again: its clock becomes a tick, and nobody sees it twice."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    await alice.add_init_script(LOSE)
    await alice.reload()
    await online(alice)
    await opened(alice, names[1])
    await alice.evaluate(f"window.loses = {how!r}")
    await say(alice, "once")
    await until(alice, "window.lost === 1")
    await say(alice, "behind it")
    await expect(alice.locator("#messages .mark.read")).to_have_count(2)
    for page in (alice, bob):
        await expect(page.locator(TEXTS)).to_have_text(["once", "behind it"])
