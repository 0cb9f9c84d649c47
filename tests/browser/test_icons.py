"""The icons of the page."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Route, expect

from tests.browser.session import in_direct_room, until

SPRITE = "**/lucide.svg"


async def stale_at_once(route: Route) -> None:
    """Answer as for a file that was written just now: a browser asks for it again and again."""
    answer = await route.fetch()
    await route.fulfill(response=answer, headers={**answer.headers, "cache-control": "max-age=0"})


async def test_icons_are_there_without_a_connection(
    context: BrowserContext, dev_url: str, names: tuple[str, str]
) -> None:
    """One that was not shown before is drawn, and none is asked for again."""
    await context.route(SPRITE, stale_at_once)
    alice = await in_direct_room(context, dev_url, names)
    fetched: list[str] = []
    alice.on("request", lambda request: fetched.append(request.url))
    await context.unroute(SPRITE)
    await context.set_offline(True)
    await alice.evaluate("dispatchEvent(new Event('offline'))")
    await expect(alice.locator("#bar .icon")).to_be_visible()
    await until(alice, "document.querySelector('#bar use').getBBox().width > 0")
    assert not [url for url in fetched if url.endswith("lucide.svg")]
