"""The relay and the web processes on top of a stack; whatever dies is started again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess, end
from rts_server.tools.dev.stack import END_WITHIN, Stack
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.tail import Tail

AGAIN_AFTER = 2.0
READY_WITHIN = 30.0
END_OURS_WITHIN = 2.0


@dataclass
class Kept:
    """A child that must run, and how it is started again."""

    child: ManagedProcess
    reopen: Callable[[], None]
    due: float | None = None


class Web(ManagedProcess):
    """One web process; it binds its port itself."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.port = port
        self.url = f"http://{_reachable(stack.settings.host)}:{port}"
        super().__init__(
            f"web {port}",
            [sys.executable, "-m", "rts_server", "serve"],
            log=stack.data / "logs" / f"web-{port}.log",
            environment=stack.environment() | {"RTS_PORT": str(port)},
        )

    def answers(self) -> bool:
        """Whether it says that it lives."""
        return ports.says_ok(f"{self.url}/health/live")


class Fleet:
    """`instances` web processes on consecutive ports and one relay.

    `tell` hears what happens, `show` what they log at warning and above.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        instances: int,
        port: int,
        tell: Callable[[str], object],
        show: Callable[[str], object],
    ) -> None:
        self.stack = stack
        self.instances = instances
        self.port = port
        self.tell = tell
        self.show = show
        self.webs: list[Web] = []
        self.relay: ManagedProcess | None = None
        self._kept: list[Kept] = []
        self._tails: dict[str, Tail] = {}

    def check(self) -> None:
        """Before anything starts: every port must be free. Raises Trouble."""
        for port in self._ports():
            if port > 65_535 or not ports.free(port, self.stack.settings.host):
                raise StackError(
                    f"Port {port} is in use or not to be had; "
                    "choose others with --port, or end what listens there."
                )

    def start(self) -> None:
        """Start relay and web, and return when each web process answers. Raises Trouble."""
        self.webs = [Web(self.stack, port) for port in self._ports()]
        self.relay = ManagedProcess(
            "relay",
            [sys.executable, "-m", "rts_server", "relay"],
            log=self.stack.data / "logs" / "relay.log",
            environment=self.stack.environment(),
        )
        ours = [self.relay, *self.webs]
        for child in ours:
            child.log.unlink(missing_ok=True)
        self._tails = {child.name: Tail(child.log) for child in ours}
        for child in ours:
            child.start()
        for web in self.webs:
            self._await(web)
        self._kept = [Kept(child, child.start) for child in ours] + list(self._foreign())
        self._note()

    def tend(self) -> None:
        """One look at all: tell what was logged, start again what died 2 s ago."""
        for name, tail in self._tails.items():
            for line in tail.news():
                self.show(f"{name}: {line}")
        for kept in self._kept:
            self._revive(kept)

    def stop(self) -> None:
        """End relay and web before what they need; then the stack. At most 4.5 s for all."""
        started = time.monotonic()
        end([child for child in (*self.webs, self.relay) if child], END_OURS_WITHIN)
        self.stack.stop(END_WITHIN - (time.monotonic() - started))

    def _revive(self, kept: Kept) -> None:
        if kept.child.alive:
            return
        if kept.due is None:
            kept.due = time.monotonic() + AGAIN_AFTER
            status = kept.child.status
            kept.child.kill()
            self.tell(f"{kept.child.name} ended (status {status}), again in {AGAIN_AFTER:.0f} s")
        elif time.monotonic() >= kept.due:
            kept.due = None
            try:
                kept.reopen()
            except StackError as trouble:
                self.tell(str(trouble))
                return
            self.tell(f"{kept.child.name} started again")
            self._note()

    def _foreign(self) -> Iterator[Kept]:
        """Valkey and the local AWS; one that was killed may have lost what was deployed."""
        valkey, aws = self.stack.valkey, self.stack.aws
        if valkey is not None:
            yield Kept(valkey, valkey.open)
        if aws is not None:

            def reopen() -> None:
                aws.open()
                self.stack.deploy()

            yield Kept(aws, reopen)

    def _await(self, web: Web) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not web.answers():
            for child in (web, self.relay):
                if child is not None and not child.alive:
                    raise StackError(f"{child.name} does not start: {child.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{web.name} does not answer within {READY_WITHIN:.0f} s.")
            time.sleep(0.05)
        self.tell(f"web on {web.url}")

    def _note(self) -> None:
        self.stack.note(
            relay={"pid": self.relay.pid if self.relay else None},
            web=[{"pid": web.pid, "port": web.port, "url": web.url} for web in self.webs],
        )

    def _ports(self) -> range:
        return range(self.port, self.port + self.instances)


def _reachable(host: str) -> str:
    """Where a client finds a listener of this host."""
    return ports.LOCAL if host in ("0.0.0.0", "") else host
