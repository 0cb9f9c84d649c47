"""Supervisor of `rts-server dev`: relay and web processes on a stack; restarts what ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rts_server.tools.dev import ports
from rts_server.tools.dev.managed_process import ManagedProcess, stop_all
from rts_server.tools.dev.stack import STOP_TIMEOUT_SECONDS, Stack
from rts_server.tools.dev.stack_error import StackError
from rts_server.tools.dev.tail import Tail

RESTART_DELAY_SECONDS = 2.0
WEB_START_TIMEOUT_SECONDS = 30.0
OWN_STOP_TIMEOUT_SECONDS = 2.0


@dataclass
class SupervisedProcess:
    """A process that must run, how to restart it, and when (monotonic) if it has ended."""

    process: ManagedProcess
    restart: Callable[[], None]
    restart_at: float | None = None


class ManagedWebProcess(ManagedProcess):
    """One web process; it binds its port itself."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.port = port
        self.url = f"http://{_connectable(stack.settings.host)}:{port}"
        super().__init__(
            f"web {port}",
            [sys.executable, "-m", "rts_server", "serve"],
            log=stack.data / "logs" / f"web-{port}.log",
            environment=stack.environment() | {"RTS_PORT": str(port)},
        )

    def is_healthy(self) -> bool:
        """Return whether `/health/live` answers."""
        return ports.answers_ok(f"{self.url}/health/live")


class Supervisor:
    """Runs `instances` web processes on consecutive ports and one relay.

    `report` receives what happens, `show_log_line` the processes' log lines from warning upwards.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        instances: int,
        port: int,
        report: Callable[[str], object],
        show_log_line: Callable[[str], object],
    ) -> None:
        self.stack = stack
        self.webs: list[ManagedWebProcess] = []
        self.relay: ManagedProcess | None = None
        self._ports = range(port, port + instances)
        self._report = report
        self._show_log_line = show_log_line
        self._supervised: list[SupervisedProcess] = []
        self._tails: dict[str, Tail] = {}

    def check_ports(self) -> None:
        """Call before anything starts. Raises StackError if a web port is not free."""
        for port in self._ports:
            if port > 65_535 or not ports.is_free(port, self.stack.settings.host):
                raise StackError(
                    f"Port {port} is in use or cannot be bound; "
                    "choose others with --port, or end the process that listens there."
                )

    def start(self) -> None:
        """Start relay and web, and wait until each web process answers. Raises StackError."""
        self.webs = [ManagedWebProcess(self.stack, port) for port in self._ports]
        self.relay = ManagedProcess(
            "relay",
            [sys.executable, "-m", "rts_server", "relay"],
            log=self.stack.data / "logs" / "relay.log",
            environment=self.stack.environment(),
        )
        own = [self.relay, *self.webs]
        for process in own:
            process.log.unlink(missing_ok=True)
        self._tails = {process.name: Tail(process.log) for process in own}
        for process in own:
            process.start()
        for web in self.webs:
            self._wait_healthy(web)
        self._supervised = [SupervisedProcess(process, process.start) for process in own]
        self._supervised += self._parts_of_stack()
        self._write_state()

    def check_processes(self) -> None:
        """Show new log lines, and restart what ended RESTART_DELAY_SECONDS ago."""
        for name, tail in self._tails.items():
            for line in tail.new_lines():
                self._show_log_line(f"{name}: {line}")
        for supervised in self._supervised:
            if not supervised.process.alive:
                self._restart_when_due(supervised)

    def stop(self) -> None:
        """Stop relay and web, then the stack they need. At most STOP_TIMEOUT_SECONDS for all."""
        started = time.monotonic()
        own = [process for process in (*self.webs, self.relay) if process]
        stop_all(own, OWN_STOP_TIMEOUT_SECONDS)
        self.stack.stop(STOP_TIMEOUT_SECONDS - (time.monotonic() - started))

    def _restart_when_due(self, supervised: SupervisedProcess) -> None:
        process = supervised.process
        if supervised.restart_at is None:
            supervised.restart_at = time.monotonic() + RESTART_DELAY_SECONDS
            status = process.status
            process.kill()
            delay = f"{RESTART_DELAY_SECONDS:.0f} s"
            self._report(f"{process.name} ended (status {status}); restarting in {delay}")
        elif time.monotonic() >= supervised.restart_at:
            supervised.restart_at = None
            try:
                supervised.restart()
            except StackError as error:
                self._report(str(error))
                return
            self._report(f"{process.name} restarted")
            self._write_state()

    def _parts_of_stack(self) -> Iterator[SupervisedProcess]:
        """Yield Valkey and the local AWS, if the stack started them."""
        aws, cluster = self.stack.aws, self.stack.cluster
        for node in cluster.nodes if cluster is not None else [self.stack.valkey]:
            if node is not None:
                yield SupervisedProcess(node, node.start_and_wait)
        if aws is not None:

            def restart_aws() -> None:
                aws.start_and_wait()
                # A local AWS that was killed may have lost the stack.
                self.stack.deploy()

            yield SupervisedProcess(aws, restart_aws)

    def _wait_healthy(self, web: ManagedWebProcess) -> None:
        """Wait until a web process answers. Raises StackError, also if the relay ends."""
        deadline = time.monotonic() + WEB_START_TIMEOUT_SECONDS
        while not web.is_healthy():
            for process in (web, self.relay):
                if process is not None and not process.alive:
                    raise StackError(f"{process.name} does not start: {process.last_log_line()}")
            if time.monotonic() > deadline:
                seconds = f"{WEB_START_TIMEOUT_SECONDS:.0f} s"
                raise StackError(f"{web.name} does not answer within {seconds}.")
            time.sleep(0.05)
        self._report(f"web on {web.url}")

    def _write_state(self) -> None:
        self.stack.write_state(
            relay={"pid": self.relay.pid if self.relay else None},
            web=[{"pid": web.pid, "port": web.port, "url": web.url} for web in self.webs],
        )


def _connectable(host: str) -> str:
    """Return the address at which a client reaches a listener on `host`."""
    return ports.LOCAL if host in ("0.0.0.0", "") else host
