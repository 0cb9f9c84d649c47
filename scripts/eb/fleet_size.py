"""How many instances of which type a load needs, as docs/sizing.md computes it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

MESSAGE_SECONDS = 0.0007
DELIVERY_SECONDS = 0.000013
CONNECT_SECONDS = 0.0005
"""CPU of web; each is rounded up from what was measured."""
RELAY_SECONDS = 0.00105
"""CPU of the relay for a message."""
HEADROOM = 2
"""A core is planned for half of what it carries."""
CONNECTIONS_PER_PROCESS = 10_000
"""The scaling policy adds instances above it (`.ebextensions/02-scaling.config`)."""
CORES_OF_TYPE = {"m7g.large": 2, "m7g.xlarge": 4, "m7g.2xlarge": 8, "m7g.4xlarge": 16}
"""Cores by instance type, the smallest first. A web process runs on each."""
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

    Without a type, the smallest one is chosen of which MAX_INSTANCES are enough.
    """
    for name, of_type in CORES_OF_TYPE.items():
        needed = max(
            ceil(cores(load) / of_type),
            ceil(load.connections / (CONNECTIONS_PER_PROCESS * of_type)),
        )
        size = FleetSize(name, max(2, needed + 1), max(MAX_INSTANCES, 2 * (needed + 1)))
        if name == instance_type or (instance_type is None and size.min_size <= MAX_INSTANCES):
            return size
    if instance_type is not None:
        return FleetSize(instance_type, 2, MAX_INSTANCES)
    return size
