"""Which pages may connect: those of RTS_CORS_ORIGINS, and during development those of this machine.

Tokens travel in the `auth` payload and not in cookies, so `*` exposes no session (no CSRF).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from yarl import URL

from rts_server.config import Settings

Allowed = list[str] | str | Callable[[str, dict[str, Any]], bool] | None
"""What python-engineio takes as `cors_allowed_origins`; None allows the page's own origin only."""


def configured_origins(settings: Settings) -> list[str]:
    """Return the origins of RTS_CORS_ORIGINS."""
    return [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]


def allowed_origins(settings: Settings) -> Allowed:
    """Return the origins whose pages may connect.

    Under `dev` every page of this machine may: a bundler serves it from a port of its own.
    """
    origins = configured_origins(settings)
    if origins == ["*"]:
        return "*"
    if not settings.dev:
        return origins or None

    def is_allowed(origin: str, environ: dict[str, Any]) -> bool:
        own = f"{environ.get('wsgi.url_scheme')}://{environ.get('HTTP_HOST')}"
        return origin in origins or origin == own or is_local_origin(origin)

    return is_allowed


def is_local_origin(origin: str) -> bool:
    """Return whether an Origin header (RFC 6454) names this machine, at any port."""
    try:
        url = URL(origin)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and is_local_name(url.host or "")


def is_local_name(name: str) -> bool:
    """Return whether a host name is one of this machine: localhost (RFC 6761) or loopback."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
