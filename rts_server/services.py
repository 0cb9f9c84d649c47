"""Builds the objects of a process: the room log, what depends on it, and presence."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from rts_server.admin.data_requests import DataRequests
from rts_server.admin.replays import Replays
from rts_server.admin.verify import Verifier
from rts_server.config import Settings
from rts_server.files.store import ObjectStore
from rts_server.files.user_files import UserFiles
from rts_server.persistence.archive import Archive
from rts_server.persistence.eviction_policy import check_eviction_policy
from rts_server.persistence.message_status import StatusPublisher
from rts_server.persistence.recent_changes import RecentChanges
from rts_server.persistence.revocations import Revocations, Revoked
from rts_server.persistence.user_rooms import UserRooms
from rts_server.presence.instance_lease import InstanceLease
from rts_server.presence.presence_groups import PresenceGroups
from rts_server.presence.presences import UserPresences
from rts_server.presence.watches import PresenceWatches
from rts_server.protocol.event import now
from rts_server.realtime.control_channel import ControlChannel
from rts_server.realtime.sharded_subscriber import ShardedSubscriber
from rts_server.realtime.subscriber import Subscriber
from rts_server.redis_client.servers import RedisServers
from rts_server.relay.queue_admin import QueueAdmin
from rts_server.rest.data_requests import PersonalRoutes
from rts_server.rest.events import EventRoutes
from rts_server.rest.members import MemberRoutes
from rts_server.rest.messages import MessageRoutes
from rts_server.rest.queues import QueueRoutes
from rts_server.rest.rooms import RoomRoutes
from rts_server.rest.users import UserRoutes
from rts_server.roomlog.appender import Appender
from rts_server.roomlog.connected_rooms import ConnectedRooms
from rts_server.roomlog.drains import RoomDrains
from rts_server.roomlog.durability import DurabilityTracker
from rts_server.roomlog.log import RoomLog, SystemRoomLog
from rts_server.roomlog.membership_index import MembershipIndex
from rts_server.roomlog.message_ids import MessageIds
from rts_server.roomlog.recorded import RecordedDurability
from rts_server.roomlog.rehydrate import RoomLoader
from rts_server.roomlog.replay import AppendReplay
from rts_server.roomlog.script import AppendScript
from rts_server.rooms.display_names import DisplayNames
from rts_server.rooms.introductions import Introductions
from rts_server.rooms.memberships import Memberships
from rts_server.rooms.messages import Messages
from rts_server.rooms.provisioning import Provisioning
from rts_server.rooms.receipts import ReceiptWriter
from rts_server.rooms.recovery import RoomRecovery
from rts_server.rooms.rooms import Rooms
from rts_server.rooms.typing import TypingPublisher
from rts_server.runtime.admission import Admission
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import Tasks
from rts_server.views.history import History
from rts_server.views.inbox import InboxReader
from rts_server.views.member_list import MemberList
from rts_server.views.profile import ProfileReader
from rts_server.views.snapshots import SnapshotReader
from rts_server.views.sync import SyncReader
from rts_server.views.user_memberships import UserMemberships

if TYPE_CHECKING:
    from rts_server.tracing import Tracing

log = logging.getLogger(__name__)

SERVICES_SHUTDOWN_SECONDS = 1.0
"""Seconds to report the end of our connections; Redis may be away."""


class Services:
    """The room log and what depends on it, for one process."""

    def __init__(
        self,
        settings: Settings,
        tracing: Tracing | None = None,
        *,
        on_revoked: Callable[[Revoked], None] = lambda revoked: None,
    ) -> None:
        """`on_revoked` is called with users whose tokens were revoked."""
        self.settings = settings
        self.tracing = tracing
        self.origin = secrets.token_hex(8)
        self._tasks = Tasks()
        self._build_stores()
        self._build_room_log()
        self._build_views()
        self._build_commands()
        self._build_administration(on_revoked)

    # Each part is built from the parts above it.

    def _build_stores(self) -> None:
        """Redis, the archive, and what they keep beside the rooms."""
        self.servers = RedisServers(self.settings)
        self.redis = self.servers.pipe()  # for what is seldom and may be large, beside the others
        self.pipe = self.servers.pipe()
        self.archive = Archive(self.settings)
        self.user_rooms = UserRooms(self.redis, self.pipe)
        self.recent = RecentChanges(self.redis)
        self.statuses = StatusPublisher(self.redis)

    def _build_room_log(self) -> None:
        """Appends, the load of rooms, and the durability of what was appended."""
        self.admission = Admission()
        self.append_script = AppendScript(
            self.settings,
            self.origin,
            self.servers.pipe(),
            self.redis,
            on_round_trip=self.admission.observe_append,
        )
        self.loader = RoomLoader(self.settings, self.origin, self.redis, self.archive)
        self.ids = MessageIds(self.redis, self.archive)
        self.appender = self._appender()
        index = MembershipIndex(self.user_rooms)
        self.durability = DurabilityTracker(
            self.settings,
            RecordedDurability(self.pipe),
            self.archive,
            replay=AppendReplay(self.archive, self.appender),
            index=index,
        )
        self.room_log = RoomLog(self.appender, self.durability, index, self.archive)
        self.system_log = SystemRoomLog(self.appender, self.durability, index, self.archive)
        self.drains = RoomDrains(self.settings, self.origin, self.pipe, self.archive)
        self.connected_rooms = ConnectedRooms(self.settings, self.pipe, self.room_log.load_if_cold)

    def _build_views(self) -> None:
        """Reads of rooms, messages and members."""
        self.snapshots = SnapshotReader(self.pipe, self.connected_rooms.renew_if_aging)
        self.user_memberships = UserMemberships(self.archive, self.user_rooms)
        self.inboxes = InboxReader(self.archive, self.user_memberships, self.snapshots, self.drains)
        self.history = History(self.settings, self.pipe, self.archive, self.drains)
        self.members = MemberList(self.pipe, self.archive, self.drains)
        self.sync = SyncReader(self.settings, self.snapshots, self.inboxes, self.user_memberships)

    def _build_commands(self) -> None:
        """What clients and operators ask for."""
        self.typing = TypingPublisher(self.settings, self.pipe)
        self.messages = Messages(self.statuses, self.room_log, self.history, typing=self.typing)
        self.memberships = Memberships(self.settings, self.room_log, self.user_rooms, self.archive)
        self.rooms = self._rooms(self.room_log)
        self.system_rooms = self._rooms(self.system_log)
        self.receipts = ReceiptWriter(self.settings, self.pipe, self.room_log)
        self.display_names = DisplayNames(self.system_log, self.user_memberships)
        self.introductions = Introductions(self.pipe, self.display_names)
        self.provisioning = Provisioning(
            self.system_log, self.archive, self.memberships, self.members
        )

    def _build_administration(self, on_revoked: Callable[[Revoked], None]) -> None:
        """Repairs, queues, and tokens that were revoked."""
        self.recovery = RoomRecovery(
            self.pipe,
            self.room_log,
            snapshots=self.snapshots,
            archive=self.archive,
            drains=self.drains,
        )
        self.verifier = Verifier(self.settings, self.redis, self.archive, self.drains)
        self.queue_admin = QueueAdmin(self.settings)
        self.revocations = Revocations(self.settings, self.pipe, self.archive, on_revoked)

    def _rooms(self, appends: RoomLog) -> Rooms:
        return Rooms(
            appends,
            self.memberships,
            snapshots=self.snapshots,
            archive=self.archive,
            drains=self.drains,
        )

    def _appender(self) -> Appender:
        collaborators = (self.settings, self.append_script, self.archive, self.loader, self.ids)
        if self.tracing is None:
            return Appender(*collaborators)
        from rts_server.tracing import TracedAppender

        return TracedAppender(self.tracing.tracer, *collaborators)

    def for_operators(self, store: ObjectStore, presences: UserPresences) -> list[object]:
        """Return the REST resources. Operators act as the system, without a membership."""
        settings, provisioning = self.settings, self.provisioning
        rooms = self.system_rooms
        messages = Messages(self.statuses, self.system_log, self.history, system=True)
        data_requests = DataRequests(
            self.system_log,
            messages,
            history=self.history,
            archive=self.archive,
            user_rooms=self.user_rooms,
            files=UserFiles(store, self.queue_admin),
            presences=presences,
        )
        return [
            RoomRoutes(settings, rooms, provisioning, self.verifier),
            MemberRoutes(settings, rooms, self.members, provisioning),
            MessageRoutes(
                settings,
                rooms,
                as_member=self.messages,
                as_system=messages,
                history=self.history,
            ),
            EventRoutes(settings, rooms, self.snapshots),
            PersonalRoutes(data_requests),
            QueueRoutes(self.queue_admin, Replays(settings, self.queue_admin, messages)),
            UserRoutes(
                settings,
                inboxes=self.inboxes,
                profiles=ProfileReader(self.archive, self.user_memberships, presences),
                names=self.display_names,
                control=ControlChannel(self.redis),
                revocations=self.revocations,
            ),
        ]

    async def __aenter__(self) -> Services:
        """Start the background tasks."""
        self._tasks.keep(check_eviction_policy(self.redis))
        self.durability.start()
        return self

    async def settled(self) -> None:
        """Return when the durability of every append of this process is known and published."""
        await self.durability.wait_until_none_pending()
        await asyncio.sleep(0)  # callbacks of the last one run in this turn
        await self.statuses.settled()

    async def __aexit__(self, *_: object) -> None:
        """Stop in the opposite order, then close the connections."""
        await self.introductions.close()
        await self.connected_rooms.close()
        await self.typing.close()
        await self.receipts.close()
        await self.durability.close()
        await self.statuses.close()
        await self.loader.close()
        await self.ids.close()
        await self.verifier.close()
        await self.drains.close()
        await self.append_script.close()
        await self.archive.close()
        await self.queue_admin.close()
        await self._tasks.close()
        await self.pipe.close()
        await self.redis.close()
        await self.servers.close()
        if self.tracing is not None:
            await self.tracing.close()


class PresenceServices:
    """Presence on this instance: its lease, its connections, and the watches of its users."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        subscriber: Subscriber | ShardedSubscriber,
        *,
        on_lease_lost: Callable[[list[str]], None],
        on_counted: Callable[[str, list[str], int], None],
    ) -> None:
        """See `PresenceGroups` for the callbacks."""
        self._started = now()
        self.groups = PresenceGroups(
            settings,
            services.pipe,
            services.origin,
            self._about,
            on_gained=self._lease_gained,
            on_lost=on_lease_lost,
            on_counted=on_counted,
        )
        self.online, self.presences = self.groups.counts, self.groups.store
        self.watches = PresenceWatches(
            subscriber, self.presences, services.user_memberships.share_room
        )
        self._tasks = Tasks()

    def start(self) -> None:
        """Start renewing the leases, counting and sweeping."""
        for one in self.groups:
            self._tasks.keep(one.run_forever())

    async def close(self) -> None:
        """Report the end of our connections, then give up the lease.

        In this order: a lease that ends with users left must be swept by others (E1), and users
        who are reported keep their grace to reconnect elsewhere (E2).
        """
        await self._tasks.close()
        await self.watches.close()
        with contextlib.suppress(TimeoutError, RedisError, OSError):
            async with within(SERVICES_SHUTDOWN_SECONDS):
                await self.groups.leave()

    def _about(self) -> dict[str, object]:
        return {"started_at": self._started, "connections": self.online.connections}

    def _lease_gained(self, lease: InstanceLease, concerns: Callable[[str], bool]) -> None:
        """Check the watches of users when other instances had the time to announce theirs."""
        seconds = lease.complete_at - asyncio.get_running_loop().time()
        self.watches.check_soon(seconds, concerns)


def start_tracing(settings: Settings, process: str) -> Tracing | None:
    """Return tracing if an endpoint is configured; else OpenTelemetry is not even imported."""
    if not settings.trace_endpoint:
        return None
    try:
        from rts_server.tracing import Tracing
    except ImportError:
        missing = "OTEL_EXPORTER_OTLP_ENDPOINT is set, but rts-server[otel] is not installed."
        raise SystemExit(missing) from None
    return Tracing(process)
