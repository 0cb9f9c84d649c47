"""What every page says to the browser about itself."""

from __future__ import annotations

SEALED = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""Directives for which `default-src` does not stand in."""


def sealed(policy: str) -> dict[str, str]:
    """Headers: only what the policy allows is loaded, and no other page shows this one."""
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; {SEALED}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }
