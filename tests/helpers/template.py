"""The CloudFormation template as data; short forms of functions are expanded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

PATH = Path(__file__).parents[2] / "infra" / "template.yaml"

Json = dict[str, Any]


@cache
def resources() -> dict[str, Json]:
    """Return the resources by logical id."""
    found: dict[str, Json] = decode(str(PATH))[0]["Resources"]
    return found


def of_type(*kinds: str) -> dict[str, Json]:
    """Return the properties of the resources of these types, by logical id."""
    wanted = {f"AWS::{kind}" for kind in kinds}
    return {name: one["Properties"] for name, one in resources().items() if one["Type"] in wanted}


def statements(resource: Json) -> Iterator[Json]:
    """Yield every IAM statement of a resource, conditional ones too."""

    def walk(node: Any) -> Iterator[Json]:
        if isinstance(node, dict):
            if "Effect" in node:
                yield node
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    yield from walk(resource.get("Properties", {}))


def actions(role: str) -> set[str]:
    """Return the actions that a role allows."""
    found: set[str] = set()
    for statement in statements(resources()[role]):
        given = statement["Action"]
        found |= {given} if isinstance(given, str) else set(given)
    return found - {"sts:AssumeRole"}


def dashboard() -> Json:
    """Return the body of the dashboard; values that only a deployment has are `?`."""
    (properties,) = of_type("CloudWatch::Dashboard").values()
    text: str = properties["DashboardBody"]["Fn::Sub"][0]
    body: Json = json.loads(
        re.sub(r"\$\{[\w:.]+\}", "?", text.replace("${MetricNamespace}", "rts"))
    )
    return body
