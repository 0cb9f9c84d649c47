"""YAML 1.2 (JSON schema, section 10.2) with a long list read item by item, in memory of one item.

PyYAML's composer over libyaml's parser. PyYAML's own resolver is that of YAML 1.1, where `no` is
false, 017 is 15 and 1:30 is 90; here only JSON's numbers, true, false and null are not strings.
docs/decisions/0009-manifest-reader.md says why ruamel.yaml was not taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.cyaml import CParser
from yaml.nodes import MappingNode, Node, SequenceNode
from yaml.resolver import BaseResolver

TopLevelItem = tuple[str, Node, Any]
"""(key at the top level, node, value)."""


class StreamingLoader(Composer, CParser, SafeConstructor, BaseResolver):  # type: ignore[misc]
    """Constructs JSON values only. Duplicate keys and all other tags are errors."""

    def __init__(self, stream: IO[bytes]) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        BaseResolver.__init__(self)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Raises ConstructorError for a duplicate key."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def top_level_items(self, streamed: str) -> Iterator[TopLevelItem]:
        """Yield the values of the top-level mapping; of the list under `streamed`, each item.

        Raises yaml.YAMLError.
        """
        self.get_event()  # StreamStart
        if not self.check_event(yaml.DocumentStartEvent):
            return
        self.get_event()
        if not self.check_event(yaml.MappingStartEvent):
            raise ConstructorError(None, None, "not a mapping", self.peek_event().start_mark)
        self.get_event()
        while not self.check_event(yaml.MappingEndEvent):
            key = self.compose_node(None, None).value
            if key == streamed and self.check_event(yaml.SequenceStartEvent):
                self.get_event()
                while not self.check_event(yaml.SequenceEndEvent):
                    yield self._next_item(key)
                self.get_event()
            else:
                yield self._next_item(key)
        self.get_event()

    def _next_item(self, key: str) -> TopLevelItem:
        node = self.compose_node(None, None)
        return key, node, self.construct_document(node)


StreamingLoader.yaml_constructors = {
    f"tag:yaml.org,2002:{kind}": SafeConstructor.yaml_constructors[f"tag:yaml.org,2002:{kind}"]
    for kind in ("null", "bool", "int", "float", "str", "seq", "map")
} | {None: SafeConstructor.yaml_constructors[None]}

for _tag, _pattern, _first in (
    ("null", r"(?:null|~|)", ["n", "~", ""]),
    ("bool", r"(?:true|false)", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?", list("-0123456789")),
    ("merge", r"<<", ["<"]),
):
    StreamingLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern + r"\Z"), _first
    )


def line_of(node: Node, path: str) -> int:
    """Return the line (from 1) of a path such as `members.2.role`, or of its nearest parent."""
    for part in filter(None, path.split(".")):
        child = None
        if isinstance(node, SequenceNode) and part.isdigit() and int(part) < len(node.value):
            child = node.value[int(part)]
        elif isinstance(node, MappingNode):
            child = next((value for key, value in node.value if key.value == part), None)
        if child is None:
            break
        node = child
    line: int = node.start_mark.line + 1
    return line
