"""A local cluster of Valkeys: primaries that share the slots, and replicas where they are wanted.

It is formed by CLUSTER commands, as the wheel has no valkey-cli.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS

from rts_server.tools.dev.managed_process import stop_all
from rts_server.tools.dev.ports import LOCAL
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.valkey import Valkey

PORTS_PER_NODE = 2
"""The port of clients, and behind it the one at which the nodes talk to each other."""
NODES_FILE = "nodes.conf"
"""What a node knows of its cluster; it is there from its first start on."""
FORM_CHECK_SECONDS = 0.02


class ValkeyCluster:
    """Valkeys of one cluster, each in a folder of its own under `directory`.

    Start it on the main thread (see ManagedProcess). A primary of which nothing is left takes only
    its own slots with it, as in ElastiCache.

    Attributes:
        primaries: Those that hold the slots when the cluster is formed, in the order of the slots.
        replicas: Per primary, in the same order, `replicas` of them.
    """

    def __init__(
        self,
        directory: Path,
        ports: Sequence[int],
        *,
        replicas: int = 0,
        logs: Path,
        inherited_fds: Iterable[int] = (),
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`ports`: the first of PORTS_PER_NODE of each node, the primaries first.

        `replicas`: of each primary. `options`: see Valkey.
        """
        self._directory = directory
        given = {
            "cluster-enabled": "yes",
            "cluster-config-file": NODES_FILE,
            "cluster-announce-ip": LOCAL,
            "cluster-node-timeout": "5000",
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
            **(options or {}),
        }
        nodes = [
            Valkey(
                directory / str(number),
                port,
                log=logs / f"valkey-{number}.log",
                inherited_fds=tuple(inherited_fds),
                options={**given, "cluster-port": str(port + 1)},
            )
            for number, port in enumerate(ports)
        ]
        count = len(nodes) // (replicas + 1)
        self.primaries, others = nodes[:count], nodes[count:]
        self.replicas = [others[at : at + replicas] for at in range(0, len(others), replicas or 1)]

    @property
    def nodes(self) -> list[Valkey]:
        """The primaries, then the replicas of each."""
        return [*self.primaries, *(node for some in self.replicas for node in some)]

    @property
    def url(self) -> str:
        """URL of one node, by which the others are found."""
        return self.primaries[0].url

    def start_and_wait(self, within: float = 20.0) -> None:
        """Start the nodes, form the cluster if it is new, and wait until each slot is served.

        Raises StackError after `within` seconds, with nothing left running.
        """
        deadline = time.monotonic() + within
        is_new = not any((node.directory / NODES_FILE).exists() for node in self.nodes)
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait_healthy(deadline - time.monotonic())
            if is_new:
                self._form(deadline)
            self._wait(self.is_whole, deadline)
        except BaseException:
            self.stop(0.0)
            raise

    def stop(self, within: float = 4.0) -> None:
        """Send SIGTERM to all nodes, and SIGKILL after `within` seconds."""
        stop_all(self.nodes, within)

    def _form(self, deadline: float) -> None:
        # Each primary has an epoch and its slots before it meets the others: two of the same epoch
        # would have to agree first on who keeps it.
        first, *others = self.nodes
        count = len(self.primaries)
        for number, node in enumerate(self.primaries):
            _ask(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            _ask(
                node,
                "CLUSTER ADDSLOTSRANGE",
                number * SLOTS // count,
                (number + 1) * SLOTS // count - 1,
            )
        for node in others:
            _ask(first, "CLUSTER MEET", LOCAL, node.port, node.port + 1)
        for primary, replicas in zip(self.primaries, self.replicas, strict=False):
            name = _ask(primary, "CLUSTER MYID").decode()
            for node in replicas:
                self._wait(partial(_knows, node, name), deadline)
                _ask(node, "CLUSTER REPLICATE", name)

    def is_whole(self) -> bool:
        """Return whether every node sees all others and all slots, and replicas follow."""
        infos = [_ask(node, "CLUSTER INFO") for node in self.nodes]
        if any(info["cluster_state"] != "ok" for info in infos):
            return False
        if any(int(info["cluster_slots_ok"]) < SLOTS for info in infos):
            return False
        if any(len(_known(node)) < len(self.nodes) for node in self.nodes):
            return False
        return sum(map(_is_following, self.nodes)) == len(self.nodes) - len(self.primaries)

    def _wait(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait until it holds. Raises StackError at the deadline (monotonic seconds)."""
        while not condition():
            if time.monotonic() > deadline:
                raise StackError(f"The Valkeys in {self._directory} form no whole cluster.")
            time.sleep(FORM_CHECK_SECONDS)


def _ask(node: Valkey, *command: str | int) -> Any:
    with redis.Redis(port=node.port, protocol=2) as client:
        return client.execute_command(*command)


def _knows(node: Valkey, name: str) -> bool:
    return name in _known(node)


def _known(node: Valkey) -> set[str]:
    """Return the ids of the nodes that a node has shaken hands with, and its own."""
    nodes = _ask(node, "CLUSTER NODES").values()
    return {one["node_id"] for one in nodes if "handshake" not in one["flags"]}


def _is_following(node: Valkey) -> bool:
    told = _ask(node, "INFO", "replication")
    return bool(told["role"] == "slave" and told["master_link_status"] == "up")
