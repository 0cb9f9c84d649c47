"""Liveness, readiness and metrics: no token, closed to the outside by nginx."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Reasons = Callable[[], list[str]]


def add_routes(app: web.Application, not_ready: Reasons) -> None:
    """Add /health/live, /health/ready and /metrics. `not_ready`: reasons, none when ready."""

    async def live(_: web.Request) -> web.Response:
        """The loop turns; nothing shared is asked."""
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        """503 only for what another instance could do better."""
        reasons = not_ready()
        status = 503 if reasons else 200
        return web.json_response(
            {"status": "not ready" if reasons else "ready", "reasons": reasons}, status=status
        )

    async def metrics(_: web.Request) -> web.Response:
        """Prometheus text format."""
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
