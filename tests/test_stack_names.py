"""Names that the processes derive from the stack against those that the template makes."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rts_server import config, config_loading, stack_names
from tests.helpers.template import of_type, resolved


def names_in_template(kind: str, name: str) -> set[str]:
    """Return the names of the template's resources of a type in a stack `chat`."""
    return {resolved(one[name]) for one in of_type(kind).values()}


def test_the_defaults_are_those_of_a_stack_chat() -> None:
    """Nothing has to be set for it."""
    by_variable = {f.metadata.get("env"): f.default for f in fields(config.Settings)}
    named = stack_names.settings("chat")
    assert {variable: by_variable[variable] for variable in named} == named


def test_the_template_makes_what_the_processes_use() -> None:
    """Queues, tables, functions, log groups and the metrics' namespace."""
    settings = config_loading.load({"RTS_STACK": "chat", "RTS_JWT_SECRET": "s" * 32})
    assert names_in_template("SQS::Queue", "QueueName") == {
        settings.message_queue,
        "chat-message-queue-dlq.fifo",
        settings.room_queue,
        f"{settings.room_queue}-dlq",
        settings.cursor_queue,
        f"{settings.cursor_queue}-dlq",
        settings.quarantine_queue,
        f"{settings.quarantine_queue}-kept",
    }
    assert names_in_template("DynamoDB::Table", "TableName") == {
        settings.rooms_table,
        settings.messages_table,
    }
    assert names_in_template("Lambda::Function", "FunctionName") == set(stack_names.FUNCTIONS)
    logs = {*stack_names.log_groups("chat"), settings.emf_log_group}
    assert names_in_template("Logs::LogGroup", "LogGroupName") == logs
    ours = {
        space
        for space in names_in_template("CloudWatch::Alarm", "Namespace")
        if space[:4] != "AWS/"
    }
    assert ours == {settings.emf_namespace}


def test_a_stack_beside_another_has_names_of_its_own() -> None:
    """RTS_STACK alone changes all of them; one that is given stays."""
    given = {"RTS_STACK": "staging", "RTS_BUCKET": "ours", "RTS_JWT_SECRET": "s" * 32}
    settings, chat = config_loading.load(given), config_loading.load({"RTS_JWT_SECRET": "s" * 32})
    assert settings.bucket == "ours"
    for variable, value in stack_names.settings("staging").items():
        (name,) = (f.name for f in fields(settings) if f.metadata.get("env") == variable)
        assert getattr(settings, name) != getattr(chat, name)
        assert "staging" in value
    assert stack_names.function("staging", "chat-room-to-db") == "staging-room-to-db"


@pytest.mark.parametrize("stack", ["1chat", "chat_live", "c" * 41])
def test_a_name_that_no_stack_can_have_is_refused(stack: str) -> None:
    """Letters, digits and hyphens; 40 at most, so that all names made of it are valid."""
    with pytest.raises(config_loading.ConfigError, match="RTS_STACK"):
        config_loading.load({"RTS_STACK": stack, "RTS_JWT_SECRET": "s" * 32})
