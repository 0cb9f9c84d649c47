"""The page of the REST routes in a real browser."""

from __future__ import annotations

import json

from playwright.async_api import BrowserContext, expect

from rts_server.auth import CLAIMS
from tests.browser.session import until, visit
from tests.helpers.rest import ROUTES

SHOWN = (
    "[...document.querySelectorAll('summary')]"
    ".map((s) => s.children[0].textContent + ' ' + s.children[1].textContent)"
)


async def test_every_route_is_shown(context: BrowserContext, dev_url: str) -> None:
    """Under its own policy the page renders the document: each route with its answer."""
    routes = json.dumps(sorted(f"{route.method} {route.path}" for route in ROUTES))
    page = await visit(context, f"{dev_url}/v1/docs")
    await until(page, f"JSON.stringify({SHOWN}.sort()) === JSON.stringify({routes})")
    await until(
        page,
        f"[...document.querySelectorAll('details')].filter((d) => d.querySelector('pre')"
        f".textContent.includes(':')).length === {len(ROUTES)}",
    )


async def test_the_page_shows_what_a_token_needs_and_a_curl_line_for_each_route(
    context: BrowserContext, dev_url: str
) -> None:
    """Each claim, and for every route its request, its refusals by status and an example."""
    page = await visit(context, f"{dev_url}/v1/docs")
    await expect(page.locator(".curl")).to_have_count(len(ROUTES))
    claims = json.dumps([*CLAIMS])
    await until(
        page,
        f"JSON.stringify([...document.querySelectorAll('#claims tr')]"
        f".map((row) => row.children[0].textContent)) === JSON.stringify({claims})",
    )
    await expect(page.locator("#token")).to_contain_text("scope: operator")
    declare = "[...document.querySelectorAll('details')].find((d) => d.textContent.includes("
    await until(
        page,
        f"({declare}'business key'))).textContent.match(/curl .*order-17[^]*422`limit_exceeded`/)",
    )
