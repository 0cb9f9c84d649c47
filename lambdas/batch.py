"""The records of one invocation: what may happen at once, and which of them return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lambdas import spans, tables
from lambdas.batch_report import BatchReport
from rts_server.persistence import records
from rts_server.persistence.records import Poison, Record, Step
from rts_server.persistence.records.record import Rule

WALLS = frozenset({"barrier", "expiry"})
"""Kinds of records that must come behind all records before them."""
LOOSE = frozenset({"cursors"})
"""Kinds whose records need no order even within their room: each write stands by itself."""


@dataclass
class QueuedRecord:
    """A record as its queue gave it, and what became of it.

    `group`: the group in a FIFO queue, else the room, or empty for what needs no order. `parsed` is
    None for poison, and `steps` apply it. If neither `stored` nor `failed`, it is in quarantine, or
    was not reached.
    """

    sqs_id: str
    body: str
    group: str
    sent_ms: int
    parsed: Record[Any] | None = None
    steps: Sequence[Step] = ()
    poison: str = ""
    stored: bool = False
    failed: bool = False


@dataclass
class Group:
    """The records of a group, in order."""

    entries: list[QueuedRecord] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a record failed."""
        return any(entry.failed for entry in self.entries)

    @property
    def from_first_failed(self) -> list[QueuedRecord]:
        """The first record that failed and all behind it: a FIFO queue must get back these.

        Some may be in the tables by then. Writing them again changes nothing (D8).
        """
        first = next((i for i, one in enumerate(self.entries) if one.failed), len(self.entries))
        return self.entries[first:]

    def waves(self) -> list[list[list[QueuedRecord]]]:
        """Return what may happen at once: per wave lists of entries, each in its order.

        A wall has a wave of its own (D1). Records of one message keep their order, as a change
        behind its message costs fewer writes.
        """
        found: list[dict[str, list[QueuedRecord]]] = [{}]
        for entry in self.entries:
            wall = entry.parsed is not None and entry.parsed.kind in WALLS
            if wall:
                found.append({})
            found[-1].setdefault(_target(entry), []).append(entry)
            if wall:
                found.append({})
        return [list(wave.values()) for wave in found if wave]


def _target(entry: QueuedRecord) -> str:
    """Return the id of the message that a record is about, else its own."""
    data = entry.parsed.data if entry.parsed else {}
    return str(data.get("message", data).get("message_id") or entry.sqs_id)


def parse_entries(event: Mapping[str, Any], kinds: Mapping[str, Rule]) -> list[QueuedRecord]:
    """Return the records of a batch of SQS."""
    return [_entry(one, kinds) for one in event["Records"]]


def _entry(raw: Mapping[str, Any], kinds: Mapping[str, Rule]) -> QueuedRecord:
    attributes = raw["attributes"]
    sent_ms = int(attributes.get("SentTimestamp", 0))
    entry = QueuedRecord(
        raw["messageId"], raw["body"], attributes.get("MessageGroupId", ""), sent_ms
    )
    try:
        entry.parsed = records.parse(entry.body, kinds)
        entry.steps = records.decide(entry.parsed, kinds)
        if entry.parsed.kind not in LOOSE:
            entry.group = entry.group or entry.parsed.room_id
    except Poison as poison:
        entry.poison = poison.reason
    return entry


def group_entries(entries: Iterable[QueuedRecord]) -> list[Group]:
    """Return the groups of a batch; poison or cursors without a group are alone in one."""
    groups: dict[str, Group] = {}
    for entry in entries:
        groups.setdefault(entry.group or entry.sqs_id, Group()).entries.append(entry)
    return list(groups.values())


def at_once(units: Sequence[Callable[[], None]]) -> None:
    """Call each unit, in threads if there are several; return when all are done."""
    if len(units) == 1:
        units[0]()
    else:
        for submitted in [_pool().submit(unit) for unit in units]:
            submitted.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(tables.MAX_CALLS_AT_ONCE)


def apply_entries(entries: Iterable[QueuedRecord], *, until_failed: bool = True) -> None:
    """Apply entries one after the other, by default up to the first that fails."""
    for entry in entries:
        _apply(entry)
        if entry.failed and until_failed:
            return


def _apply(entry: QueuedRecord) -> None:
    """Apply a record, or quarantine it if no attempt could.

    Any error that a later attempt may not meet makes it fail: it then returns to its queue.
    """
    try:
        if entry.parsed is None:
            raise Poison(entry.poison)
        with spans.store_span(entry.parsed):
            tables.apply_record(entry.steps)
        entry.stored = True
    except Poison as poison:
        _quarantine(entry, poison.reason)
    except Exception as error:
        fail(entry, error)


def _quarantine(entry: QueuedRecord, reason: str) -> None:
    try:
        tables.quarantine(entry.body, reason)
    except Exception as error:
        fail(entry, error)


def fail(entry: QueuedRecord, error: Exception) -> None:
    """Let a record return to its queue."""
    tables.log_returned(entry.body, error)
    entry.failed = True


def finish(
    entries: Iterable[QueuedRecord], returned: Iterable[QueuedRecord], report: BatchReport
) -> Any:
    """Print the summary of a batch and return the answer to Lambda.

    `{"batchItemFailures": [{"itemIdentifier": …}]}`, in the order of the batch.
    """
    ids = {entry.sqs_id for entry in returned}
    failures = []
    for entry in entries:
        if entry.sqs_id in ids:
            failures.append({"itemIdentifier": entry.sqs_id})
        elif entry.stored and entry.parsed:
            report.add_stored(entry.parsed, entry.sent_ms)
        else:
            report.add_quarantined()
    report.print_summary(len(failures))
    spans.flush()
    return {"batchItemFailures": failures}
