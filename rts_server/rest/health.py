"""Liveness, readiness and metrics. No token is needed; nginx closes these paths to the outside."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Reasons = Callable[[], list[str]]


def add_routes(app: web.Application, not_ready: Reasons) -> None:
    """Add /health/live, /health/ready and /metrics. `not_ready`: reasons, none when ready."""

    async def live(_: web.Request) -> web.Response:
        """Return 200 if the event loop runs; nothing shared is checked (R8)."""
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        """Return 503 with reasons if another instance could serve better than this one (R8)."""
        reasons = not_ready()
        status = 503 if reasons else 200
        return web.json_response(
            {"status": "not ready" if reasons else "ready", "reasons": reasons}, status=status
        )

    async def metrics(_: web.Request) -> web.Response:
        """Return all metrics in the Prometheus text format."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
