"""How many instances of which type a load needs, as docs/sizing.md computes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import click

MESSAGE_SECONDS = 0.0007
DELIVERY_SECONDS = 0.000013
CONNECT_SECONDS = 0.0005
"""CPU of web; each is rounded up from what was measured."""
RELAY_SECONDS = 0.0003
"""CPU of the relay for a message."""
HEADROOM = 2
"""A core is planned for half of what it carries."""
CONNECTIONS_PER_PROCESS = 10_000
"""The scaling policy adds instances above it (`.ebextensions/02-scaling.config`)."""
CORES_OF_TYPE = {"m7g.large": 2, "m7g.xlarge": 4, "m7g.2xlarge": 8, "m7g.4xlarge": 16}
"""Cores by instance type, the smallest first. A web process runs on each."""
CORES_OF_SIZE = {"medium": 1, "large": 2, "xlarge": 4}
SIZE = re.compile(r"[cmr]\d+g[a-z]*\.(?:(\d+)xlarge|(medium|large|xlarge))")
"""Types of Graviton for steady load, which have a core per vCPU."""
MAX_INSTANCES = 8
"""Above it a larger type is chosen: fewer instances hold fewer subscriptions of the same rooms."""


@dataclass(frozen=True)
class Load:
    """The highest load that is planned for; rates are per second."""

    connections: int = 0
    messages: float = 0.0
    deliveries: float = 0.0
    connects: float = 0.0


@dataclass(frozen=True)
class FleetSize:
    """Type of the instances, and how many there are at least and at most."""

    instance_type: str
    min_size: int
    max_size: int


def cores(load: Load) -> float:
    """Return the cores that web and relay need together, with headroom."""
    web = (
        load.messages * MESSAGE_SECONDS
        + load.deliveries * DELIVERY_SECONDS
        + load.connects * CONNECT_SECONDS
    )
    return HEADROOM * (web + load.messages * RELAY_SECONDS)


def fleet_size(load: Load, instance_type: str | None = None) -> FleetSize:
    """Return the fleet for a load, with one instance to spare and two at least.

    Without a type, the smallest one is chosen of which MAX_INSTANCES are enough. Raises UsageError
    for a load on a type whose cores are not known.
    """
    if instance_type is None:
        sizes = (_size(load, name, of_type) for name, of_type in CORES_OF_TYPE.items())
        return _first_small(sizes)
    if of_type := cores_of(instance_type):
        return _size(load, instance_type, of_type)
    if load != Load():
        raise click.UsageError(
            f"The cores of {instance_type} are not known, so the load says nothing: choose a type "
            "such as m7g.xlarge, or leave the load out and set MinSize and MaxSize by hand."
        )
    return FleetSize(instance_type, 2, MAX_INSTANCES)


def cores_of(instance_type: str) -> int | None:
    """Return the cores of a type, None if that is not known."""
    if not (match := SIZE.fullmatch(instance_type)):
        return None
    return 4 * int(match[1]) if match[1] else CORES_OF_SIZE[match[2]]


def vcpus(size: FleetSize) -> str:
    """Return what a fleet needs of the quota of on-demand instances (L-1216C47A), as a sentence."""
    if not (of_type := cores_of(size.instance_type)):
        return f"vCPUs: {size.min_size} times those of {size.instance_type}, twice that in a swap"
    least, most = of_type * size.min_size, of_type * size.max_size
    return f"vCPUs: {least} at once, {2 * least} in a swap, {most} at most; new accounts have 5"


def _size(load: Load, name: str, of_type: int) -> FleetSize:
    needed = max(
        ceil(cores(load) / of_type),
        ceil(load.connections / (CONNECTIONS_PER_PROCESS * of_type)),
    )
    return FleetSize(name, max(2, needed + 1), max(MAX_INSTANCES, 2 * (needed + 1)))


def _first_small(sizes: Iterable[FleetSize]) -> FleetSize:
    """Return the first of which MAX_INSTANCES are enough, else the last."""
    for size in sizes:
        if size.min_size <= MAX_INSTANCES:
            break
    return size
