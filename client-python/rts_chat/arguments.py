"""What callers without types get wrong: each check raises with the name of the argument."""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

USER_ID = re.compile(r"[!-~]{1,128}")
WORD = re.compile(r"[!-~]+")
"""What a header can hold."""
LONGEST_SHOWN = 40


def check_url(url: Any) -> str:
    """Return the address of a server, as `https://chat.example.com`."""
    if not isinstance(url, str) or not _is_address(_parts(url)):
        raise _wrong("url", "the address of the server, as https://chat.example.com", url)
    return url


def check_token(token: Any) -> str:
    """Return a token that can be sent."""
    if not isinstance(token, str) or not WORD.fullmatch(token):
        expected = "a token, without spaces and line ends, or a function that gives one"
        raise _wrong("token", expected, token, is_secret=True)
    return token


def check_segment(name: str, value: Any) -> str:
    """Return a part of a path; without it, the request would be one of something else."""
    if not isinstance(value, str) or not value:
        raise _wrong(name, "a text that is not empty", value)
    if value in {".", ".."}:
        raise _wrong(name, "something that can stand in a path", value)
    return value


def check_key(key: Any) -> str:
    """Return an idempotency key that a header can hold."""
    if not isinstance(key, str) or not WORD.fullmatch(key):
        raise _wrong("idempotency_key", "printable ASCII characters without spaces", key)
    return key


def check_claims(secret: Any, sub: Any, scope: Any, lifetime: Any, **texts: Any) -> None:
    """Look whether these make a token that the server takes."""
    if not isinstance(secret, str) or not secret:
        expected = "the text that the server has as RTS_JWT_SECRET"
        raise _wrong("secret", expected, secret, is_secret=True)
    if not isinstance(sub, str) or not USER_ID.fullmatch(sub):
        raise _wrong("sub", "a user id, 1 to 128 printable ASCII characters without spaces", sub)
    if scope not in {None, "operator"}:
        raise _wrong("scope", 'left out or "operator"', scope)
    is_number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool)
    if not is_number or not math.isfinite(lifetime) or lifetime <= 0:
        raise _wrong("lifetime", "a number of seconds above 0", lifetime)
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise _wrong(name, "a text", value)


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_address(parts: SplitResult | None) -> bool:
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    return not (parts.query or parts.fragment or re.search(r"\s", parts.geturl()))


def _wrong(name: str, expected: str, value: Any, *, is_secret: bool = False) -> Exception:
    """Return ValueError for a text, and TypeError for what is none."""
    kind = ValueError if isinstance(value, str) else TypeError
    found = "" if is_secret else f", not {value!r:.{LONGEST_SHOWN}}"
    return kind(f"{name} must be {expected}{found}.")
