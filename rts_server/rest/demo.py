"""The demo page and its tokens: only under `rts-server dev`."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from rts_server import auth
from rts_server.config import Settings

PAGE = Path(__file__).parents[2] / "web"


def add_routes(app: web.Application, settings: Settings) -> None:
    """Add `/`, `/web/…` and `/dev/token`."""

    async def page(_: web.Request) -> web.FileResponse:
        """The chat page."""
        return web.FileResponse(PAGE / "index.html")

    async def token(request: web.Request) -> web.Response:
        """A token for anybody who asks: this is why it exists under dev only."""
        user_id = request.query.get("user", "")
        if not auth.USER_ID.fullmatch(user_id):
            return web.json_response({"error": "user: 1-128 printable characters"}, status=400)
        return web.json_response({"token": auth.issue(settings, user_id)})

    app.router.add_get("/", page)
    app.router.add_static("/web", PAGE)
    app.router.add_get("/dev/token", token)
