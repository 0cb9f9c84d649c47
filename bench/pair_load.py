"""Messages of pairs whose users are on different instances, at intended times."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain

from bench.connection import Connection, ReceivedCounts
from bench.contender import Running
from bench.load import Action, LoadPlan, run_plan
from bench.testbed import Testbed

BEHIND_ACKS_SECONDS = 1.0
SUBSCRIBED_SECONDS = 0.5


class PairLoad:
    """So many messages a second, of all users of the pairs in turn.

    Attributes:
        plan: When they are sent.
        seen: What was received of them.
    """

    def __init__(self, made: Testbed, messages: int, rate: float) -> None:
        self._made = made
        self._actions: list[Action] = []
        self.plan = LoadPlan(rate, messages / rate)
        self.seen = ReceivedCounts()

    async def connect(self, servers: Running) -> None:
        """Connect both users of each pair, and let each of them send once."""
        for number, user in enumerate(chain.from_iterable(self._made.pairs)):
            port = servers.ports[number % len(servers.ports)]
            client = await Connection.open(port, user.token, self.seen)
            self._actions.append(partial(client.send, user.rooms[0]))
        await asyncio.sleep(SUBSCRIBED_SECONDS)  # subscriptions are not confirmed to the client
        once = LoadPlan(self.plan.rate, len(self._actions) / self.plan.rate)
        await run_plan(once, self._actions)  # totals and scripts are read once
        await self._made.wait_until_idle()
        self.seen.clear()

    async def idle(self) -> None:
        """Send nothing for as long as messages would be sent."""
        await asyncio.sleep(self.plan.seconds)

    async def send(self) -> None:
        """Send all messages, and wait for what follows from them."""
        await run_plan(self.plan, self._actions)
        await self.seen.wait_for(self.plan.count * 2, self.plan.count)
        await asyncio.sleep(BEHIND_ACKS_SECONDS)
