"""Users, for operators."""

from __future__ import annotations

from rts_server.auth import Identity
from rts_server.config import Settings
from rts_server.persistence.revocations import Revocations
from rts_server.protocol import answers, cursor, operator_answers, requests
from rts_server.protocol.event import rfc3339
from rts_server.realtime.control_channel import ControlChannel
from rts_server.rest.routes import UserParams, route
from rts_server.rest.wait_durable import wait_durable
from rts_server.rooms.display_names import DisplayNames
from rts_server.types.answers import RoomsAnswer
from rts_server.types.operator_answers import (
    ExplainedRoomAnswer,
    ExplainedUnreadAnswer,
    ReceiversAnswer,
    RenamedUserAnswer,
    RevokedAnswer,
    UserProfileAnswer,
)
from rts_server.types.requests import (
    DisconnectRequest,
    RoomPageRequest,
    UnreadPageRequest,
    UserChangeRequest,
)
from rts_server.views.inbox import InboxReader
from rts_server.views.inbox_row import InboxRow
from rts_server.views.profile import ProfileReader


class RoomPageParams(UserParams, RoomPageRequest):
    """Path and query."""


class UnreadPageParams(UserParams, UnreadPageRequest):
    """Path and query."""


class UserChangeParams(UserParams, UserChangeRequest):
    """Path and body."""


class DisconnectParams(UserParams, DisconnectRequest):
    """Path and body."""


class UserRoutes:
    """A user's name, rooms, unread counts, connections and tokens."""

    def __init__(
        self,
        settings: Settings,
        *,
        inboxes: InboxReader,
        profiles: ProfileReader,
        names: DisplayNames,
        control: ControlChannel,
        revocations: Revocations,
    ) -> None:
        self._durable_wait = settings.durable_wait
        self._inboxes = inboxes
        self._profiles = profiles
        self._names = names
        self._control = control
        self._revocations = revocations

    @route("GET", "/v1/users/{user_id}", operator_answers.UserProfileSchema)
    async def get(self, operator: Identity, params: UserParams) -> UserProfileAnswer:
        """What the server knows of a user: name, presence and the number of their rooms.

        Users are made by their tokens, not here: of a user id that was never used there is no name
        and no room, and they are offline.
        """
        return await self._profiles.read(params["user_id"])

    @route(
        "PATCH",
        "/v1/users/{user_id}",
        operator_answers.RenamedUserSchema,
        body=requests.UserChangeSchema,
    )
    async def change(self, operator: Identity, params: UserChangeParams) -> RenamedUserAnswer:
        """Give a user another display name, in every room they are in.

        The members of each room receive `member.updated` with the new name. A room that the user
        creates or joins later has the name of their token or of the request that adds them, so give
        both the new one too. Safe to repeat, also after `unavailable`, which does the rest.
        """
        user_id, name = params["user_id"], params["name"]
        done = await self._names.rename(operator.user_id, user_id, name)
        return {
            "user": {"user_id": user_id, "name": name},
            "rooms": sum(bool(one.affected("name")) for one in done),
            "status": await wait_durable(done, self._durable_wait),
        }

    @route("GET", "/v1/users/{user_id}/rooms", answers.RoomsSchema, query=requests.RoomPageSchema)
    async def rooms(self, operator: Identity, params: RoomPageParams) -> RoomsAnswer:
        """A page of the user's rooms by last activity, as the user sees them."""
        return await self._inboxes.page(
            params["user_id"], params["limit"], params.get("cursor"), hidden=params["hidden"]
        )

    @route(
        "GET",
        "/v1/users/{user_id}/unread",
        operator_answers.ExplainedUnreadSchema,
        query=requests.UnreadPageSchema,
    )
    async def unread(self, operator: Identity, params: UnreadPageParams) -> ExplainedUnreadAnswer:
        """The user's unread totals; with `explain`, the counts of each room in order of room id."""
        after = cursor.decode(params["cursor"], str)[0] if "cursor" in params else ""
        if not params["explain"]:
            return {"unread": await self._inboxes.unread(params["user_id"])}
        inbox = await self._inboxes.read(params["user_id"])
        totals: ExplainedUnreadAnswer = {"unread": inbox.unread}
        rooms = sorted(map(_explained, inbox.rows), key=_room_id)
        totals["rooms"], totals["next_cursor"] = cursor.page(
            rooms, _room_id, after, params["limit"]
        )
        return totals

    @route(
        "POST",
        "/v1/users/{user_id}:disconnect",
        operator_answers.ReceiversSchema,
        body=requests.DisconnectSchema,
    )
    async def disconnect(self, operator: Identity, params: DisconnectParams) -> ReceiversAnswer:
        """Close the user's connections on all instances; their tokens stay valid."""
        code = "draining" if params["reconnect"] else "banned"
        return {"instances": await self._control.close(params["user_id"], code)}

    @route("POST", "/v1/users/{user_id}:revoke", operator_answers.RevokedSchema)
    async def revoke(self, operator: Identity, params: UserParams) -> RevokedAnswer:
        """Revoke all tokens of the user issued until now, for good, and close their connections."""
        before = await self._revocations.revoke(params["user_id"])
        return {"user_id": params["user_id"], "revoked_before": rfc3339(before)}


def _room_id(room: ExplainedRoomAnswer) -> str:
    return room["room_id"]


def _explained(row: InboxRow) -> ExplainedRoomAnswer:
    return {
        "room_id": row.room_id,
        "seq": row.room["seq"],
        "read_seq": row.room["read_seq"],
        "uncounted": row.uncounted,
        "unread": row.room["unread"],
        "counts": row.in_totals,
    }
