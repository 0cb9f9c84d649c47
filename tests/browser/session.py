"""A user on the demo page."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium, Page


async def signed_in(chromium: Chromium, dev_url: str, user: str) -> Page:
    page = await chromium.open(f"{dev_url}/?user={user}")
    await page.until("document.querySelector('#state')?.textContent === 'connected'")
    return page


async def direct(page: Page, user: str) -> None:
    await page.click("#new summary")
    await page.type("#new-direct input", user, enter=True)
    await page.until(f"document.querySelector('#title')?.textContent === {json.dumps(user)}")
