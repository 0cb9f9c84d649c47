"""How many connections an address has here."""

from __future__ import annotations

from collections import Counter

from aiohttp import web


class Addresses:
    """Counts connections by address. `proxies` stand between the client and us and are believed:
    each adds, at the end of X-Forwarded-For, the address it was called from.
    """

    def __init__(self, proxies: int, most: int) -> None:
        self._proxies, self._most = proxies, most
        self._count: Counter[str] = Counter()
        self._of: dict[str, str] = {}
        self._crowded: set[str] = set()

    def enter(self, eio_sid: str, request: web.Request) -> None:
        """A connection was opened."""
        address = self._address(request)
        self._of[eio_sid] = address
        self._count[address] += 1
        if self._count[address] > self._most:
            self._crowded.add(eio_sid)

    def leave(self, eio_sid: str) -> None:
        """It is gone."""
        self._crowded.discard(eio_sid)
        if (address := self._of.pop(eio_sid, None)) is not None:
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]

    def crowded(self, eio_sid: str) -> bool:
        """Whether a connection is one too many."""
        return eio_sid in self._crowded

    def _address(self, request: web.Request) -> str:
        told = ",".join(request.headers.getall("X-Forwarded-For", []))
        passed = [one.strip() for one in told.split(",") if one.strip()]
        if self._proxies and len(passed) >= self._proxies:
            return passed[-self._proxies]
        return request.remote or ""
