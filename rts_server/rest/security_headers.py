"""Security headers of the HTML pages."""

from __future__ import annotations

FIXED_DIRECTIVES = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""Directives that do not fall back to `default-src` (CSP level 3, section 6.1)."""


def sealed(policy: str) -> dict[str, str]:
    """Return headers that allow only what the policy names and forbid framing."""
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; {FIXED_DIRECTIVES}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }
