"""An empty page with the package, driven by what tests evaluate in it."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.browser.session import until

CONNECT = """(async () => {
  const rts = await import("/rts-chat.min.js");
  const token = async () => (await (await fetch(`${server}/dev/token?user=${user}`)).json()).token;
  const made = storage === "localStorage" ? localStorage : rts[storage]();
  globalThis.chat = rts.createClient({ url, getToken: token, storage: made });
  const kept = made === localStorage ? rts.webStorage() : rts[storage]();
  globalThis.entries = (kind) => kept.entries(`rts-chat/${user}/${kind}`);
  chat.connect();
})()"""


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.rpartition(":")[2])


async def run(page: Page, code: str, **values: Any) -> Any:
    """What an asynchronous function body returns in a page."""
    return await page.evaluate(f"async ({{{', '.join(values)}}}) => {{ {code} }}", values)


async def connect(
    page: Page, user: str, server: str, url: str, storage: str = "memoryStorage"
) -> None:
    """A client of this user as `chat`, in a page that was just loaded."""
    await until(page, "document.title === 'page'")
    more = {"user": user, "server": server, "url": url, "storage": storage}
    await run(page, f"await {CONNECT}", **more)
    await until(page, "chat.connection.value.status === 'online'")
