"""A room with 10,000 messages in its state, in the real page: what a frame costs is counted."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.session import both_with_direct_room, frame, opened, say, until

HISTORY = """
const earlier = Array.from({length: 10_000}, (_, n) => ({
  message_id: `old-${n}`, client_msg_id: `old-${n}`, room_id: location.hash.slice(1),
  seq: n - 10_000, epoch: 0, version: 1, type: 'text', text: `number ${n}\\n`.repeat(1 + n % 4),
  sender_id: n % 3 ? 'alice' : 'bob', attachments: [], mentions: [], reactions: {}, metadata: {},
  created_at: new Date(1.7e12 + n * 1e5).toISOString(),
  ...(n % 5 === 4 && {reply_to: `old-${n - 4}`}),
}));
window.WebSocket = class extends WebSocket {
  send(data) {
    const asked = /^42[/]chat,([0-9]+)\\["message.list"/.exec(data);
    if (!asked) return super.send(data);
    const answer = {ok: true, data: {messages: earlier, has_more: false}};
    setTimeout(() => this.onmessage({data: `43/chat,${asked[1]}${JSON.stringify([answer])}`}));
  }
};
"""
"""The server's answer to the first page of messages is all of them."""

COUNT = """
window.rows = window.lookups = window.most = 0;
const create = document.createElement;
document.createElement = function (tag) {
  if (tag === 'li') rows += 1;
  return create.call(this, tag);
};
for (const kind of [Map, WeakMap])
  for (const name of ['get', 'set', 'has']) {
    const real = kind.prototype[name];
    kind.prototype[name] = function (...parts) { lookups += 1; return real.apply(this, parts); };
  }
const frame = () => {
  most = Math.max(most, document.querySelector('#messages').children.length);
  requestAnimationFrame(frame);
};
frame();
"""
"""Rows that are drawn, look-ups in maps, and the most rows that are in the document at a time."""

LAST = "document.querySelector('#messages li:last-child p')?.textContent"


async def long_room(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> tuple[Page, Page]:
    """Both users in their direct room, that of the first with the long history."""
    alice, bob = await both_with_direct_room(context, dev_url, names)
    await bob.click("#rooms li button")
    await opened(bob, names[0])
    await alice.add_init_script(HISTORY)
    await alice.reload()
    await until(alice, f"{LAST}?.startsWith('number 9999')")
    await alice.evaluate(f"{{{COUNT}}}")
    return alice, bob


async def test_a_scroll_draws_the_rows_that_come_into_view(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """Up through the history: few rows in the document, each drawn once, and no walk over all."""
    alice, _ = await long_room(context, dev_url, names)
    steps = 40
    for _ in range(steps):
        await alice.evaluate("document.querySelector('#scroll').scrollBy(0, -500)")
        await frame(alice)
    await frame(alice)
    assert await alice.evaluate("most") < 120
    assert await alice.evaluate("rows") < steps * 120
    assert await alice.evaluate("lookups") < steps * 2_000


async def test_a_new_message_costs_the_rows_near_the_view(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """It is drawn, read and told, without a look-up for each of the 10,000 before it."""
    alice, bob = await long_room(context, dev_url, names)
    await say(bob, "new to all")
    await until(alice, f"{LAST} === 'new to all'")
    await expect(bob.locator("#messages .mark.read").first).to_be_attached()
    assert await alice.evaluate("most") < 120
    assert await alice.evaluate("rows") < 2_000
    assert await alice.evaluate("lookups") < 20_000
