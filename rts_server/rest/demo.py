"""The demo page and its tokens, only served by `rts-server dev`."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from yarl import URL

from rts_server import auth
from rts_server.config import Settings
from rts_server.engine.origins import configured_origins, is_local_name, is_local_origin
from rts_server.rest.security_headers import sealed

WEB_FOLDER = Path(__file__).with_name("web").resolve()
"""In a checkout a link to `web/`, in an installed package a copy."""
S3_ORIGINS = "https://*.amazonaws.com"


def add_routes(app: web.Application, settings: Settings) -> None:
    """Add `/`, `/web/…` and `/dev/token`."""
    headers = sealed(_policy(settings))
    files = {
        str(file.relative_to(WEB_FOLDER)): file for file in WEB_FOLDER.rglob("*") if file.is_file()
    }

    async def page(_: web.Request) -> web.FileResponse:
        """Return the chat page."""
        return web.FileResponse(WEB_FOLDER / "index.html", headers=headers)

    async def page_file(request: web.Request) -> web.FileResponse:
        """Return a file of the page. The path is looked up in a list, not in the file system."""
        file = files.get(request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound
        return web.FileResponse(file, headers=headers)

    async def token(request: web.Request) -> web.Response:
        """Return a token for any user id: this is why the route exists in `dev` only."""
        if not _is_ours(request.host, settings):
            return web.json_response({"error": "Host: not a name of this machine"}, status=403)
        user_id, cors = request.query.get("user", ""), _cors(request, settings)
        if not auth.USER_ID.fullmatch(user_id):
            wrong = {"error": "user: 1-128 printable characters"}
            return web.json_response(wrong, status=400, headers=cors)
        return web.json_response({"token": auth.issue(settings, user_id)}, headers=cors)

    app.router.add_get("/", page)
    app.router.add_get("/web/{path:.+}", page_file)
    app.router.add_get("/dev/token", token)


def _cors(request: web.Request, settings: Settings) -> dict[str, str]:
    """Return the headers that let pages of this machine, and configured ones, read a token."""
    origin = request.headers.get("Origin", "")
    if is_local_origin(origin) or origin in configured_origins(settings):
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    return {}


def _policy(settings: Settings) -> str:
    """Return the Content-Security-Policy: only files of the object store are of other origins."""
    endpoint = settings.s3_endpoint_url or settings.aws_endpoint_url
    store = str(URL(endpoint).origin()) if endpoint else S3_ORIGINS
    return (
        f"script-src 'self'; style-src 'self'; connect-src 'self' {store}; "
        f"img-src 'self' data: blob: {store}; media-src blob: {store}"
    )


def _is_ours(host: str, settings: Settings) -> bool:
    """Return whether a Host header names this machine or an allowed origin.

    This stops DNS rebinding: a hostile page can let its own name resolve to this machine, but it
    cannot change the Host header that the browser sends.
    """
    try:
        name = URL(f"http://{host}").host or ""
    except ValueError:
        return False
    allowed = {settings.host, *(URL(origin).host for origin in settings.cors_origins.split(","))}
    return name in allowed or is_local_name(name)
