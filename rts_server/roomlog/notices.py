"""Notices of the relay: SQS has accepted these outbox entries of this instance."""

from __future__ import annotations

import orjson

Notice = tuple[str, str, str]
"""(room_id, request_id, outbox entry). Ids of entries are unique within a partition only."""

EARLY_NOTICES_MAX = 4096
"""Notices that are kept because they came before the reply of their append."""


def parse_notice(data: bytes) -> list[Notice]:
    """A message on an instance's channel: `{"queued": [[room_id, request_id, entry], …]}`."""
    return [(room, request, entry) for room, request, entry in orjson.loads(data)["queued"]]


class EarlyNotices:
    """The latest notices of appends that are not tracked yet; beyond a maximum the oldest go.

    A notice that is dropped costs a poll: the append is asked for in Redis.
    """

    def __init__(self) -> None:
        self._notices: dict[Notice, None] = {}

    def keep(self, notice: Notice) -> None:
        """Keep a notice: it may have overtaken the reply of its own append."""
        self._notices[notice] = None
        while len(self._notices) > EARLY_NOTICES_MAX:
            del self._notices[next(iter(self._notices))]

    def __contains__(self, notice: Notice) -> bool:
        return notice in self._notices
