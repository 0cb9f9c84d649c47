"""The page of the REST routes in a real browser."""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium
from tests.helpers.rest import ROUTES

SHOWN = (
    "[...document.querySelectorAll('summary')]"
    ".map((s) => s.children[0].textContent + ' ' + s.children[1].textContent)"
)


async def test_every_route_is_shown(chromium: Chromium, dev_url: str) -> None:
    """Under its own policy the page renders the document: each route with its answer."""
    routes = json.dumps(sorted(f"{route.method} {route.path}" for route in ROUTES))
    page = await chromium.open(f"{dev_url}/v1/docs")
    await page.until(f"JSON.stringify({SHOWN}.sort()) === JSON.stringify({routes})")
    await page.until(
        f"[...document.querySelectorAll('details')].filter((d) => d.querySelector('pre')"
        f".textContent.includes(':')).length === {len(ROUTES)}"
    )
