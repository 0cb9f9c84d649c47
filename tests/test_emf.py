"""The metrics for CloudWatch: read from the registry, written in the embedded metric format."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.registry import REGISTRY

from rts_server import emf, metrics

BOUNDS = [0.1, 0.5, 1.0, 5.0]
LONGEST_LINE = 8 * 1024
"""What the CloudWatch agent reads of one datagram."""


class Registry:
    """A registry of its own with one family of each kind."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauge = Gauge("g", "g", ["namespace"], registry=self.registry)
        self.counter = Counter("c_total", "c", ["code"], registry=self.registry)
        self.histogram = Histogram("h", "h", ["event"], registry=self.registry, buckets=BOUNDS)

    def read(self) -> emf.Samples:
        return emf.samples(self.registry.collect())


def test_a_gauge_is_read_as_it_is() -> None:
    """Only the given labels restrict the sum."""
    one = Registry()
    before = one.read()
    one.gauge.labels("/chat").set(3)
    one.gauge.labels("/receipts").set(2)
    assert emf.gauge_value("g", namespace="/chat")(before, one.read()) == 3
    assert emf.gauge_value("g")(before, one.read()) == 5


def test_a_counter_is_read_by_its_increase() -> None:
    """The increase counts from the last reading; a label may have several values."""
    one = Registry()
    one.counter.labels("internal").inc(7)
    before = one.read()
    one.counter.labels("internal").inc()
    one.counter.labels("timeout").inc(2)
    one.counter.labels("ok").inc(50)
    assert emf.counter_increase("c_total")(before, one.read()) == 53
    assert emf.counter_increase("c_total", code=emf.SERVER_ERROR_CODES)(before, one.read()) == 3
    assert emf.counter_increase("c_total")(one.read(), one.read()) == 0


def test_a_histogram_is_read_as_a_quantile() -> None:
    """It covers what was observed between the readings, over all labels, in ms."""
    one = Registry()
    one.histogram.labels("a").observe(4.0)
    before = one.read()
    assert emf.quantile_ms("h")(before, one.read()) is None
    for _ in range(50):
        one.histogram.labels("a").observe(0.05)
        one.histogram.labels("b").observe(0.3)
    assert emf.quantile_ms("h", 0.5)(before, one.read()) == pytest.approx(100)
    assert emf.quantile_ms("h", 1.0)(before, one.read()) == pytest.approx(500)


@example([0.0, 0.0, 0.0], 1.0)
@given(st.lists(st.floats(0, 20), min_size=1), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_its_rank(values: list[float], share: float) -> None:
    """A rank above the highest finite bound gives that bound."""
    counts = [(bound, sum(v <= bound for v in values)) for bound in [*BOUNDS, float("inf")]]
    found = emf.quantile([(bound, float(count)) for bound, count in counts], share)
    rank = share * len(values)
    high = next(bound for bound, count in counts if count >= rank)
    low = max([bound for bound, _ in counts if bound < high], default=0.0)
    assert found is not None
    assert low <= found <= min(high, BOUNDS[-1])


@pytest.mark.parametrize("process", get_args(emf.Kind))
def test_a_line_is_a_document_of_the_format(process: emf.Kind) -> None:
    """Each metric of the directive is a number at the root, with its dimension."""
    metrics.COMMAND_SECONDS.labels("message.send").observe(0.01)
    before: emf.Samples = {}
    after = emf.samples(REGISTRY.collect())
    named = {"namespace": "rts", "log_group": "/rts/metrics", "instance": "i", "environment": ""}
    line = emf.emf_line(
        emf.METRICS_BY_PROCESS[process],
        before,
        after,
        ms=1_700_000_000_000,
        process=process,
        **named,
    )
    assert "\n" not in line
    assert len(line) < LONGEST_LINE
    document = json.loads(line)
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert document["_aws"]["Timestamp"] == 1_700_000_000_000
    assert directive["Namespace"] == "rts"
    assert directive["Dimensions"] == [["Process"]]
    assert document["Process"] == process
    assert 0 < len(directive["Metrics"]) <= 100
    for one in directive["Metrics"]:
        assert one["Unit"] in ("Count", "Milliseconds", "Seconds")
        assert isinstance(document[one["Name"]], int | float)


def test_every_reading_finds_its_sample() -> None:
    """A metric that is renamed in the registry fails here, not in an alarm."""
    for family in (metrics.COMMAND_SECONDS, metrics.QUEUED_SECONDS, metrics.LOOP_LAG):
        (family.labels("x") if family._labelnames else family).observe(0.1)
    metrics.COMMANDS_TOTAL.labels("x", "internal").inc()
    metrics.CONNECTIONS.labels("/chat").inc()
    metrics.REPAIRS.labels("reset").inc()
    metrics.COLD_LOADS.labels("ok").inc()
    metrics.RELAYED.labels("q").inc()
    after = Seen(emf.samples(REGISTRY.collect()))
    for metric in {one for few in emf.METRICS_BY_PROCESS.values() for one in few}:
        after.missed.clear()
        metric.reading(Seen({}), after)
        assert after.missed == [], metric.name


class Seen(dict[str, dict[emf.Labels, float]]):
    """Samples that remember what was asked for and is not there."""

    def __init__(self, samples: emf.Samples) -> None:
        super().__init__({name: dict(values) for name, values in samples.items()})
        self.missed: list[str] = []

    def get(self, key: str, default: object = None) -> dict[emf.Labels, float]:
        if key not in self:
            self.missed.append(key)
        return super().get(key, {})


def test_an_environment_is_a_second_dimension_of_what_scales() -> None:
    """The environment distinguishes two stacks in one namespace; the sum has Process alone."""
    after = emf.samples(REGISTRY.collect())
    named = {"namespace": "rts", "log_group": "g", "instance": "i", "environment": "chat-green"}
    line = emf.emf_line(emf.METRICS_BY_PROCESS["web"], {}, after, ms=1, process="web", **named)
    document = json.loads(line)
    both, apart = document["_aws"]["CloudWatchMetrics"]
    assert (both["Dimensions"], apart["Dimensions"]) == (
        [["Process"]],
        [["Environment", "Process"]],
    )
    assert {one["Name"] for one in apart["Metrics"]} == emf.BY_ENVIRONMENT
    assert document["Environment"] == "chat-green"
