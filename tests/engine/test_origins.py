"""Origins: pages of this machine may connect during development, others only where configured."""

from __future__ import annotations

import pytest

from rts_server.config import Settings
from rts_server.engine.origins import allowed_origins, is_local_origin

OWN = {"wsgi.url_scheme": "http", "HTTP_HOST": "chat.lan:8000"}


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:5173", "https://a.localhost", "http://127.0.0.1:4200", "http://[::1]:3000"],
)
def test_pages_of_this_machine_are_local(origin: str) -> None:
    """At any port, by name and by address."""
    assert is_local_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://["),
        *("http://localhost.example.com", "http://127.0.0.1.example.com"),
        *("file://localhost", "http://10.0.0.1"),
    ],
)
def test_other_origins_are_not_local(origin: str) -> None:
    """A foreign name that begins like ours, other schemes, a sandbox."""
    assert not is_local_origin(origin)


def test_production_allows_what_is_configured_only() -> None:
    """None is the page's own origin."""
    assert allowed_origins(Settings()) is None
    assert allowed_origins(Settings(cors_origins="*")) == "*"
    two = allowed_origins(Settings(cors_origins="https://a.example, https://b.example"))
    assert two == ["https://a.example", "https://b.example"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:5173", True),
        ("https://a.example", True),
        ("http://chat.lan:8000", True),
        ("https://evil.example", False),
    ],
)
def test_development_allows_this_machine_too(origin: str, expected: bool) -> None:
    """Configured origins and the page's own stay allowed."""
    allowed = allowed_origins(Settings(dev="1", cors_origins="https://a.example"))
    assert callable(allowed)
    assert allowed(origin, OWN) is expected
