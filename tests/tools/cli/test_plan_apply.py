"""Plan and apply of one room, against scripted answers."""

from __future__ import annotations

from typing import Any

import pytest

from rts_server.tools.cli.api_client import ApiClient, ApiError
from rts_server.tools.cli.difference import MemberDeclaration, RoomDeclaration
from rts_server.tools.cli.plan_apply import MAX_ROOM_ATTEMPTS, apply_room, plan_room

ROOM = RoomDeclaration("order-17", {"name": "Order 17"}, (MemberDeclaration("ann"),))
NOT_FOUND = ApiError("not_found", "There is no such room.")


class ScriptedClient(ApiClient):
    """Returns or raises the given answers in order, and records the methods."""

    def __init__(self, *answers: dict[str, Any] | ApiError) -> None:
        super().__init__("http://127.0.0.1:9", "t")
        self._answers = list(answers)
        self.methods: list[str] = []

    async def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> Any:
        self.methods.append(method)
        answer = self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer


def room(name: str) -> dict[str, Any]:
    """The answer with a room of this name."""
    return {"room": {"name": name, "metadata": {}, "frozen": False}}


def members(*user_ids: str) -> dict[str, Any]:
    """The only page of a room's members."""
    return {"members": [{"user_id": user_id, "role": "member"} for user_id in user_ids]}


async def test_plan_sends_no_change() -> None:
    """plan only reads, and says what apply would do."""
    client = ScriptedClient(NOT_FOUND)
    assert (await plan_room(client, ROOM)).action == "create"
    assert client.methods == ["GET"]


async def test_a_room_that_must_exist_is_not_created() -> None:
    """A declaration without `create` of a missing room is an error."""
    declared = RoomDeclaration("order-17", create=False)
    outcome = await apply_room(ScriptedClient(NOT_FOUND), declared)
    assert (outcome.action, outcome.error) == ("failed", NOT_FOUND)


async def test_a_room_as_declared_is_not_changed() -> None:
    """apply only reads a room that is as declared."""
    client = ScriptedClient(room("Order 17"), members("ann"))
    assert (await apply_room(client, ROOM)).action == "none"
    assert client.methods == ["GET", "GET"]


async def test_a_room_that_others_created_meanwhile_is_compared_again() -> None:
    """If the PUT created nothing, the room is read again and changed to what is declared."""
    taken = {"created": False, "status": "stored"}
    changed = {"status": "stored"}
    client = ScriptedClient(NOT_FOUND, taken, room("Theirs"), members("ann"), changed)
    outcome = await apply_room(client, ROOM)
    assert (outcome.action, outcome.status) == ("change", "stored")
    assert client.methods == ["GET", "PUT", "GET", "GET", "PATCH"]


async def test_a_room_that_others_create_and_delete_is_a_conflict() -> None:
    """apply gives up after MAX_ROOM_ATTEMPTS."""
    taken = {"created": False, "status": "stored"}
    answers: list[dict[str, Any] | ApiError] = [NOT_FOUND, taken]
    outcome = await apply_room(ScriptedClient(*answers * MAX_ROOM_ATTEMPTS), ROOM)
    assert outcome.error is not None
    assert outcome.error.code == "conflict"


@pytest.mark.parametrize(
    ("statuses", "weakest"),
    [(("stored", "stored"), "stored"), (("stored", "accepted"), "accepted")],
)
async def test_the_status_is_the_weakest_of_all_requests(
    statuses: tuple[str, str], weakest: str
) -> None:
    """A change of several requests is stored only if each of them is."""
    answers = [{"status": status} for status in statuses]
    outcome = await apply_room(ScriptedClient(room("Other"), members("bob"), *answers), ROOM)
    assert outcome.status == weakest
