"""Drains the old instances over REST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from scripts.eb.calls import DeploymentFailed

DRAIN_CHECK_SECONDS = 2.0
MAX_DRAIN_CHECKS = 150
REQUEST_TIMEOUT_SECONDS = 10


class InstanceDrainer:
    """Drains instances of all environments that share a Redis, through one address.

    `sleep` waits for seconds.
    """

    def __init__(self, url: str, token: str, sleep: Callable[[float], None]) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._sleep = sleep

    def connections(self) -> dict[str, int]:
        """Return connections by instance, as of its last lease renewal (at most 7 s ago).

        Raises DeploymentFailed.
        """
        instances = self._request("GET", "/v1/instances")["data"]["instances"]
        return {one["instance_id"]: int(one.get("connections", 0)) for one in instances}

    def drain(self, instances: Iterable[str]) -> None:
        """Drain instances, and wait until they have no connections.

        Raises DeploymentFailed if some have connections after MAX_DRAIN_CHECKS.
        """
        left = set(instances) & self.connections().keys()
        for instance in sorted(left):
            self._request("POST", f"/v1/instances/{quote(instance, safe='')}:drain")
        for _ in range(MAX_DRAIN_CHECKS):
            current = self.connections()
            left = {instance for instance in left if current.get(instance)}
            if not left:
                return
            self._sleep(DRAIN_CHECK_SECONDS)
        raise DeploymentFailed(f"{len(left)} instances still have connections.")

    def _request(self, method: str, path: str) -> Any:
        url = self._url + path
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
                body = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise DeploymentFailed(f"{method} {path}: {error}") from None
        return json.loads(body) if body else {}
