"""The size of the fleet is computed as docs/sizing.md says."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
import yaml

from scripts.eb import fleet_size as sizes
from scripts.eb.bundle import ROOT
from scripts.eb.fleet_size import FleetSize, Load, cores, fleet_size

SIZING = (ROOT / "docs" / "sizing.md").read_text()


def test_the_figures_are_those_of_the_page() -> None:
    """The formula of web, and the relay's measured CPU, rounded up."""
    formula = re.search(
        r"web cores = (\d) × \(messages/s × ([\d.]+) ms \+ deliveries/s × ([\d.]+) ms \+\s+"
        r"connects/s × ([\d.]+) ms\)",
        SIZING.replace("\n", " "),
    )
    assert formula
    assert int(formula[1]) == sizes.HEADROOM
    own = (sizes.MESSAGE_SECONDS, sizes.DELIVERY_SECONDS, sizes.CONNECT_SECONDS)
    assert [float(formula[n]) for n in (2, 3, 4)] == [pytest.approx(s * 1_000) for s in own]
    relay = re.search(r"([\d,]+) µs in the relay", SIZING)
    assert relay
    measured = int(relay[1].replace(",", "")) / 1_000_000
    assert measured <= sizes.RELAY_SECONDS < measured * 1.05


def test_instances_scale_at_the_connections_of_the_policy() -> None:
    """A fleet that is sized for its connections is not scaled out by the policy at once."""
    parsed: Any = yaml.safe_load((ROOT / ".ebextensions" / "02-scaling.config").read_text())
    policy = parsed["Resources"]["ScaleByConnections"]["Properties"]
    target = policy["TargetTrackingConfiguration"]["TargetValue"]
    assert target == sizes.CONNECTIONS_PER_PROCESS


@pytest.mark.parametrize(
    ("load", "size"),
    [
        (Load(), FleetSize("m7g.large", 2, 8)),
        (Load(connections=20_000), FleetSize("m7g.large", 2, 8)),
        (Load(connections=120_000), FleetSize("m7g.large", 7, 14)),
        (Load(messages=2_000), FleetSize("m7g.large", 3, 8)),
        (Load(messages=1_000, deliveries=500_000), FleetSize("m7g.xlarge", 5, 10)),
        (Load(connections=10_000_000), FleetSize("m7g.4xlarge", 64, 128)),
    ],
)
def test_the_smallest_type_of_which_eight_are_enough_is_chosen(load: Load, size: FleetSize) -> None:
    """Two instances at least, one to spare; beyond the largest type there are more of it."""
    assert fleet_size(load) == size


def test_a_type_that_is_asked_for_is_kept() -> None:
    """Its number follows from its cores, which its size says."""
    assert fleet_size(Load(messages=1_000), "m7g.2xlarge") == FleetSize("m7g.2xlarge", 2, 8)
    assert fleet_size(Load(messages=2_000), "c8g.large") == FleetSize("c8g.large", 3, 8)
    assert fleet_size(Load(messages=2_000), "r8gd.medium") == FleetSize("r8gd.medium", 5, 10)


def test_a_load_on_an_unknown_type_is_refused() -> None:
    """Its cores are not known; without a load there are two."""
    assert fleet_size(Load(), "t4g.small") == FleetSize("t4g.small", 2, 8)
    with pytest.raises(click.UsageError, match=r"cores of t4g\.small are not known"):
        fleet_size(Load(connections=1), "t4g.small")


def test_cores_are_planned_for_half_of_what_they_carry() -> None:
    """1,000 messages a second need one core when full, so two are planned."""
    assert cores(Load(messages=1_000)) == pytest.approx(2)
