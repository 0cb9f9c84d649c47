"""How a run over many rooms went, and what it left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rts_server.cli.manifest import Manifest
from rts_server.cli.present import Outcome
from rts_server.cli.screen import Screen, removed
from rts_server.cli.server import Unreachable

HOPELESS = {"unauthorized", "token_expired", "forbidden"}


class Tally:
    """Rooms are noted in the order of the manifest; behind the last of them nothing was tried."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._counts: Counter[str] = Counter()
        self._failed: list[tuple[str, str]] = []

    def note(self, outcome: Outcome) -> bool:
        """One room more; false when there is no sense in going on."""
        self._counts[outcome.action] += 1
        self._counts["accepted"] += outcome.status == "accepted"
        if outcome.error is None:
            return True
        self._failed.append((outcome.declared.external_id, str(outcome.error)))
        return not isinstance(outcome.error, Unreachable) and outcome.error.code not in HOPELESS

    def left(self) -> Iterator[tuple[str, str]]:
        """(external id, why) of every room that is not as declared, as far as this run knows."""
        yield from self._failed
        for declared in islice(self._manifest, self._seen, None):
            yield declared.external_id, "not tried"

    @property
    def _seen(self) -> int:
        return sum(self._counts[action] for action in ("create", "change", "none", "failed"))

    def tell(self, screen: Screen, verbs: tuple[str, str]) -> int:
        """Say it; the exit code. `verbs`: of create and change."""
        for external_id, why in self.left():
            row = {"type": "left", "external_id": external_id, "reason": why}
            screen.show(row, removed(f"! {external_id}: {why}"))
        counts = {action: self._counts[action] for action in ("create", "change", "none")}
        left = len(self._manifest) - sum(counts.values())
        accepted = self._counts["accepted"]
        total: dict[str, Any] = {"type": "summary", **counts, "left": left, "accepted": accepted}
        parts = [f"{counts['create']} {verbs[0]}", f"{counts['change']} {verbs[1]}"]
        parts.append(f"{counts['none']} as declared")
        parts += [f"{accepted} not stored yet"] if accepted else []
        parts += [f"{left} left: run it again"] if left else []
        screen.show(total, ", ".join(parts) + ".")
        return 1 if left else 0
