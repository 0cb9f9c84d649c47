"""The metrics that go to CloudWatch, as lines of its embedded metric format (EMF).

Source: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring,
CloudWatch_Embedded_Metric_Format_Specification. Metrics have one dimension, the process, and those
of BY_ENVIRONMENT also the environment: CloudWatch charges for each combination of dimensions. The
instance is a field of the line.
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
"""Returns the value of a metric from two readings of the registry; None if there is none."""

SERVER_ERROR_CODES = ("internal", "timeout", "unavailable")
"""Error codes that are the server's fault (5xx in REST)."""


@dataclass(frozen=True)
class EmfMetric:
    """One metric of CloudWatch, and how it is read from the registry."""

    name: str
    unit: Literal["Count", "Milliseconds", "Seconds"]
    reading: Reading


def gauge_value(sample: str, **labels: str) -> Reading:
    """Read a gauge, summed over all labels that are not given."""
    wanted = set(labels.items())

    def read(_: Samples, after: Samples) -> float | None:
        known = after.get(sample, {})
        return sum(value for names, value in known.items() if wanted <= set(names))

    return read


def counter_increase(sample: str, **labels: tuple[str, ...]) -> Reading:
    """Read the increase of a counter; `labels` restrict it to some values of a label."""

    def total(samples: Samples) -> float:
        return sum(
            value
            for names, value in samples.get(sample, {}).items()
            if all(dict(names)[label] in allowed for label, allowed in labels.items())
        )

    return lambda before, after: total(after) - total(before)


def quantile_ms(histogram: str, share: float = 0.99) -> Reading:
    """Read a quantile, in ms, of what was observed between the readings; linear in its bucket."""
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
    """Return a quantile of cumulative buckets (upper bound, count), the last one infinite.

    None without observations. Like histogram_quantile of PromQL it returns the highest finite bound
    for a rank in the last bucket.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = share * buckets[-1][1]
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= rank and count > below:
            if high == float("inf"):
                return low
            # Rounding could put it above the bound.
            return min(high, low + (high - low) * (rank - below) / (count - below))
    return buckets[-2][0]


LOOP_LAG_P99 = EmfMetric("LoopLagP99", "Milliseconds", quantile_ms("rts_loop_lag_seconds"))

METRICS_BY_PROCESS: dict[Kind, tuple[EmfMetric, ...]] = {
    "web": (
        EmfMetric("Connections", "Count", gauge_value("rts_connections", namespace="/chat")),
        EmfMetric("Commands", "Count", counter_increase("rts_commands_total")),
        EmfMetric(
            "CommandErrors",
            "Count",
            counter_increase("rts_commands_total", code=SERVER_ERROR_CODES),
        ),
        EmfMetric("CommandP99", "Milliseconds", quantile_ms("rts_command_seconds")),
        EmfMetric("Deliveries", "Count", counter_increase("rts_deliveries_total")),
        EmfMetric("PendingAppends", "Count", gauge_value("rts_pending_appends")),
        EmfMetric("LostAppends", "Count", counter_increase("rts_lost_appends_total")),
        EmfMetric("GapRepairs", "Count", counter_increase("rts_gap_repairs_total")),
        EmfMetric(
            "GapResets", "Count", counter_increase("rts_gap_repairs_total", result=("reset",))
        ),
        EmfMetric("ColdLoads", "Count", counter_increase("rts_cold_loads_total")),
        EmfMetric("SlowConsumers", "Count", counter_increase("rts_slow_consumers_total")),
        EmfMetric("Deaf", "Count", gauge_value("rts_deaf")),
        LOOP_LAG_P99,
    ),
    "relay": (
        EmfMetric("OutboxEntries", "Count", gauge_value("rts_outbox_entries")),
        EmfMetric("OutboxAge", "Seconds", gauge_value("rts_outbox_age_seconds")),
        EmfMetric("RelayPartitions", "Count", gauge_value("rts_relay_partitions")),
        EmfMetric("Relayed", "Count", counter_increase("rts_relayed_records_total")),
        EmfMetric("RelayRefused", "Count", counter_increase("rts_relay_refused_total")),
        EmfMetric("Quarantined", "Count", counter_increase("rts_quarantined_total")),
        EmfMetric("AcceptedToQueuedP99", "Milliseconds", quantile_ms("rts_queued_seconds")),
        LOOP_LAG_P99,
    ),
}
"""The metrics by process. Those of the Lambdas are in lambdas/batch_report.py."""


BY_ENVIRONMENT = {"Connections", "CommandErrors"}
"""Metrics that also have the dimension Environment: each is billed once more.

During a swap two environments send metrics, and each scales by its own connections.
"""


def samples(families: Iterable[Metric]) -> Samples:
    """Return the current values of the registry's families."""
    found: dict[str, dict[Labels, float]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def emf_line(
    metrics: Iterable[EmfMetric], before: Samples, after: Samples, *, ms: int, **named: str
) -> str:
    """Return one EMF document as JSON.

    `ms` is its time since 1970. `named`: namespace, log_group, process, instance, environment
    (may be empty).
    """
    values = {one: one.reading(before, after) for one in metrics}
    values = {one: value for one, value in values.items() if value is not None}
    units = [{"Name": one.name, "Unit": one.unit} for one in values]
    directives = [_directive(named["namespace"], ["Process"], units)]
    apart = [one for one in units if one["Name"] in BY_ENVIRONMENT]
    if named["environment"] and apart:
        directives.append(_directive(named["namespace"], ["Environment", "Process"], apart))
    document = {
        "_aws": {
            "Timestamp": ms,
            "LogGroupName": named["log_group"],
            "CloudWatchMetrics": directives,
        },
        **({"Environment": named["environment"]} if named["environment"] else {}),
        "Process": named["process"],
        "Instance": named["instance"],
        **{one.name: round(value or 0.0, 3) for one, value in values.items()},
    }
    return json.dumps(document)


def _directive(
    namespace: str, dimensions: list[str], metrics: list[dict[str, str]]
) -> dict[str, object]:
    return {"Namespace": namespace, "Dimensions": [dimensions], "Metrics": metrics}
