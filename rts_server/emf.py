"""The few metrics that CloudWatch hears of, as lines of its embedded metric format.

Source: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring,
CloudWatch_Embedded_Metric_Format_Specification. Every metric has one dimension, the process: one
per instance would be paid for per instance. Which instance said it stands in the line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from prometheus_client.metrics_core import Metric

Kind = Literal["web", "relay"]
Labels = tuple[tuple[str, str], ...]
Samples = Mapping[str, Mapping[Labels, float]]
"""Name of a sample → its labels → its value."""

Reading = Callable[[Samples, Samples], float | None]
"""The value between two looks at the registry; None when there is nothing to tell."""

TROUBLE = ("internal", "timeout", "unavailable")
"""Codes that are the server's fault: 5xx on the REST side."""


@dataclass(frozen=True)
class EmfMetric:
    """One metric of CloudWatch and how it is read from the registry."""

    name: str
    unit: Literal["Count", "Milliseconds", "Seconds"]
    reading: Reading


def now(sample: str, **labels: str) -> Reading:
    """A gauge as it stands."""
    wanted = set(labels.items())

    def read(_: Samples, after: Samples) -> float | None:
        known = after.get(sample, {})
        return sum(value for names, value in known.items() if wanted <= set(names))

    return read


def gained(sample: str, **labels: tuple[str, ...]) -> Reading:
    """How far a counter went; with labels only what has one of these values."""

    def total(samples: Samples) -> float:
        return sum(
            value
            for names, value in samples.get(sample, {}).items()
            if all(dict(names)[label] in allowed for label, allowed in labels.items())
        )

    return lambda before, after: total(after) - total(before)


def slowest(histogram: str, share: float = 0.99) -> Reading:
    """A quantile in milliseconds of what was observed meanwhile, linear within its bucket."""
    sample = f"{histogram}_bucket"

    def read(before: Samples, after: Samples) -> float | None:
        bounds: dict[float, float] = {}
        for labels, value in after.get(sample, {}).items():
            bound = float(dict(labels)["le"])
            gain = value - before.get(sample, {}).get(labels, 0.0)
            bounds[bound] = bounds.get(bound, 0.0) + gain
        found = quantile(sorted(bounds.items()), share)
        return None if found is None else found * 1000

    return read


def quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """From cumulative buckets (upper bound, count), the last of them infinite.

    As PromQL's histogram_quantile: beyond the highest finite bound it answers that bound.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = share * buckets[-1][1]
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= rank and count > below:
            if high == float("inf"):
                return low
            # By rounding alone it could lie above the bound.
            return min(high, low + (high - low) * (rank - below) / (count - below))
    return buckets[-2][0]


LOOP_LAG = EmfMetric("LoopLagP99", "Milliseconds", slowest("rts_loop_lag_seconds"))

FEW: dict[Kind, tuple[EmfMetric, ...]] = {
    "web": (
        EmfMetric("Connections", "Count", now("rts_connections", namespace="/chat")),
        EmfMetric("Commands", "Count", gained("rts_commands_total")),
        EmfMetric("CommandErrors", "Count", gained("rts_commands_total", code=TROUBLE)),
        EmfMetric("CommandP99", "Milliseconds", slowest("rts_command_seconds")),
        EmfMetric("Deliveries", "Count", gained("rts_deliveries_total")),
        EmfMetric("PendingAppends", "Count", now("rts_pending_appends")),
        EmfMetric("LostAppends", "Count", gained("rts_lost_appends_total")),
        EmfMetric("GapRepairs", "Count", gained("rts_gap_repairs_total")),
        EmfMetric("GapResets", "Count", gained("rts_gap_repairs_total", result=("reset",))),
        EmfMetric("ColdLoads", "Count", gained("rts_cold_loads_total")),
        EmfMetric("SlowConsumers", "Count", gained("rts_slow_consumers_total")),
        EmfMetric("Deaf", "Count", now("rts_deaf")),
        LOOP_LAG,
    ),
    "relay": (
        EmfMetric("OutboxEntries", "Count", now("rts_outbox_entries")),
        EmfMetric("OutboxAge", "Seconds", now("rts_outbox_age_seconds")),
        EmfMetric("RelayPartitions", "Count", now("rts_relay_partitions")),
        EmfMetric("Relayed", "Count", gained("rts_relayed_records_total")),
        EmfMetric("RelayRefused", "Count", gained("rts_relay_refused_total")),
        EmfMetric("Quarantined", "Count", gained("rts_quarantined_total")),
        EmfMetric("AcceptedToQueuedP99", "Milliseconds", slowest("rts_queued_seconds")),
        LOOP_LAG,
    ),
}
"""The same few, by process. What a Lambda tells stands in lambdas/batch.py."""


def samples(families: Iterable[Metric]) -> Samples:
    """The registry's families as they are now."""
    found: dict[str, dict[Labels, float]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def line(
    told: Iterable[EmfMetric], before: Samples, after: Samples, *, ms: int, **named: str
) -> str:
    """One document of the format. `named`: namespace, log_group, process, instance."""
    values = {one: one.reading(before, after) for one in told}
    values = {one: value for one, value in values.items() if value is not None}
    directive = {
        "Namespace": named["namespace"],
        "Dimensions": [["Process"]],
        "Metrics": [{"Name": one.name, "Unit": one.unit} for one in values],
    }
    document = {
        "_aws": {
            "Timestamp": ms,
            "LogGroupName": named["log_group"],
            "CloudWatchMetrics": [directive],
        },
        "Process": named["process"],
        "Instance": named["instance"],
        **{one.name: round(value or 0.0, 3) for one, value in values.items()},
    }
    return json.dumps(document)
