"""The old instances, asked over REST to let their clients go."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from scripts.eb.calls import Failed

LOOK_EVERY = 2.0
MOST_LOOKS = 30


class Fleet:
    """Instances of all environments that share a Redis, behind one address. `pause` waits."""

    def __init__(self, url: str, token: str, pause: Callable[[float], None]) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._pause = pause

    def connections(self) -> dict[str, int]:
        """Connections by instance, as each last told (its lease, 7 s at most). Raises Failed."""
        told = self._ask("GET", "/v1/instances")["data"]["instances"]
        return {one["instance_id"]: int(one.get("connections", 0)) for one in told}

    def drain(self, instances: Iterable[str]) -> None:
        """Ask each, and wait until none has a connection. Raises Failed after a minute."""
        left = set(instances) & self.connections().keys()
        for instance in sorted(left):
            self._ask("POST", f"/v1/instances/{quote(instance, safe='')}:drain")
        for _ in range(MOST_LOOKS):
            now = self.connections()
            left = {instance for instance in left if now.get(instance)}
            if not left:
                return
            self._pause(LOOK_EVERY)
        raise Failed(f"{len(left)} instances still have connections.")

    def _ask(self, method: str, path: str) -> Any:
        url = self._url + path
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                body = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise Failed(f"{method} {path}: {error}") from None
        return json.loads(body) if body else {}
