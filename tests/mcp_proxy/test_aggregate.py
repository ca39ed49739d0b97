"""Names of the aggregate: both ways, within limits, and never two meanings; and how introductions are joined."""

import re

import pytest

from governance.jsontree import JsonObject
from mcp_proxy.aggregate import (
    LONGEST,
    caching,
    exposed,
    head,
    instructions,
    matches,
    origin,
    union,
    version_for,
)
from mcp_proxy.tasks.task import EXTENSION as TASKS

PREFIX = "mcp__wicket__"
ODD = [
    ("files", "read.file"),
    ("files", "x" * 128),
    ("files", "grüße 🦊"),
    ("files", "a b"),
    ("files", "tool\n"),
    ("a__b", "c"),
    ("a_", "b"),
    ("files", "plain_0123456789ab"),
    ("s.dotted", "x"),
    ("server" * 20, "tool"),
]


@pytest.mark.parametrize(
    ("server", "name"), [("files", "read"), ("a", "_b"), ("a_b", "c__d"), ("x-y", "A-1"), ("f", "__")]
)
def test_a_plain_name_is_server_and_tool_and_is_read_back(server: str, name: str) -> None:
    assert exposed(server, name) == f"{server}__{name}"
    assert origin(f"{server}__{name}") == (server, name)


@pytest.mark.parametrize(("server", "name"), ODD)
def test_an_odd_or_long_name_is_shortened_the_same_way_each_time(server: str, name: str) -> None:
    shown = exposed(server, name)
    assert shown == exposed(server, name)
    assert len(shown) <= LONGEST
    assert re.fullmatch(r"[A-Za-z0-9_-]+", shown)
    assert shown.startswith(head(server))
    assert origin(shown) is None


def test_every_name_fits_the_limits_of_clients_with_their_prefix() -> None:
    for server, name in [*ODD, ("f" * 20, "n" * 25), ("f" * 20, "n" * 26)]:
        assert len(PREFIX + exposed(server, name)) <= 60


def test_a_name_of_sixty_characters_is_shortened_and_stays_apart_from_its_neighbour() -> None:
    one, two = exposed("files", "n" * 53), exposed("files", "n" * 52 + "m")
    assert len(f"files__{'n' * 53}") == 60
    assert one != two
    assert one[:-12] == two[:-12]


def test_pairs_that_would_read_the_same_get_different_names() -> None:
    pairs = [("a", "b__c"), ("a__b", "c"), ("a", "_b"), ("a_", "b"), ("s.x", "t"), ("s_x", "t"), ("s x", "t")]
    assert len({exposed(*pair) for pair in pairs}) == len(pairs)


def test_no_server_can_take_the_shortened_name_of_another_by_calling_a_tool_so() -> None:
    victim = exposed("a" * 12 + "long", "tool.one")
    thief, _, rest = victim.partition("__")
    assert exposed(thief, rest) != victim


def test_an_exposed_name_has_one_spelling_only() -> None:
    assert origin("files__read.file") is None
    assert origin(f"files__{'x' * 128}") is None
    assert origin("files") is None
    assert origin("__x") is None
    assert origin("files__") is None


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        ("file:///{path}", "file:///a/b", True),
        ("file:///{path}", "http:///a", False),
        ("db://{table}/rows{?limit}", "db://users/rows?limit=1", True),
        ("note://one", "note://one", True),
        ("note://one", "note://two", False),
    ],
)
def test_a_uri_fits_a_template(template: str, uri: str, *, fits: bool) -> None:
    assert matches(template, uri) is fits


def test_the_tasks_extension_is_offered_to_the_modern_era_only() -> None:
    said: JsonObject = {"extensions": {TASKS: {}}, "tasks": {}}
    assert union([said, {}], modern=True) == {"extensions": {TASKS: {}}}
    assert union([said, {}]) == {"extensions": {}}
    assert union([said, {}], tasks=True) == {"extensions": {}, "tasks": {}}


def test_capabilities_are_those_of_any_server_but_tasks() -> None:
    joined = union(
        [
            {"tools": {"listChanged": False}, "tasks": {"list": {}}, "experimental": {"a": {}}},
            {
                "tools": {"listChanged": True},
                "prompts": {},
                "experimental": {"b": {}},
                "extensions": {TASKS: {}, "x": {}},
            },
        ]
    )
    assert joined == {
        "tools": {"listChanged": True},
        "prompts": {},
        "experimental": {"a": {}, "b": {}},
        "extensions": {"x": {}},
    }


def test_instructions_name_every_server_and_those_that_are_missing() -> None:
    text = instructions({"a": "I add", "b": ""}, ["c"])
    assert "Servers: `a`, `b`." in text
    assert "## a\nI add" in text
    assert "## b" not in text
    assert "Not available now: `c`." in text


def test_a_joint_result_lives_as_long_as_its_shortest_part_and_is_private() -> None:
    parts: list[JsonObject] = [{"ttlMs": 500, "cacheScope": "public"}, {"ttlMs": 100}, {}]
    assert caching(parts, whole=True) == {"resultType": "complete", "ttlMs": 100, "cacheScope": "private"}
    assert caching(parts, whole=False)["ttlMs"] == 0
    assert caching([], whole=True)["ttlMs"] == 0


def test_the_revision_is_the_clients_if_it_is_known_and_else_the_newest() -> None:
    assert version_for("2025-06-18") == "2025-06-18"
    assert version_for("2099-01-01") == version_for(None) == "2025-11-25"
