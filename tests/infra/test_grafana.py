"""The Grafana dashboard queries metrics that `/metrics` exports."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client import REGISTRY

from rts_server import keys, metrics
from tests.helpers.template import PATH, of_type

DASHBOARD: dict[str, Any] = json.loads((PATH.parent / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
WORD = re.compile(r"\b(rts|process)_\w+")
LABELS = re.compile(r"by \(([\w, ]+)\)")
OF_THE_SCRAPE = {"instance", "job"}


def families() -> dict[str, set[str]]:
    """Return the labels of each sample by its name."""
    known: dict[str, set[str]] = {}
    for name, one in vars(metrics).items():
        if name.isupper() and hasattr(one, "_labelnames"):
            (family,) = one.describe()
            ends = {
                "counter": ["_total"],
                "gauge": [""],
                "histogram": ["_bucket", "_sum", "_count"],
            }
            for end in ends[family.type]:
                known[family.name + end] = {*one._labelnames, *(["le"] if end == "_bucket" else [])}
    for family in REGISTRY.collect():
        if family.name.startswith("process_"):
            known |= {sample.name: set() for sample in family.samples}
    return known


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_queries_an_existing_metric(panel: dict[str, Any]) -> None:
    """Every metric and label in the queries of a panel exists."""
    known = families()
    for target in panel["targets"]:
        names = [match[0] for match in WORD.finditer(target["expr"])]
        assert names, target["expr"]
        assert set(names) <= known.keys()
        labels = {label for by in LABELS.findall(target["expr"]) for label in by.split(", ")}
        assert labels <= set().union(*(known[name] for name in names)) | OF_THE_SCRAPE


def test_the_panel_and_the_alarm_of_the_relay_ask_for_all_partitions() -> None:
    """A deployment without some of them would look healthy."""
    alarm, every = of_type("CloudWatch::Alarm")["RelayStalledAlarm"], f"{keys.PARTITIONS:,}"
    assert alarm["Threshold"] == keys.PARTITIONS
    assert f"all {every} partitions" in alarm["AlarmDescription"]
    assert any(f"({every} is all)" in panel["title"] for panel in PANELS)


def test_panels_have_their_own_place() -> None:
    """Panels do not overlap, and each uses the chosen data source."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len(PANELS) == len({panel["id"] for panel in PANELS})
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${source}"
