"""Cursors of the aggregate: only what was given comes back."""

import pytest

from governance.jsontree import Json
from mcp_proxy.aggregate_cursor import Cursors

ANN, BEN = ("key-ann", "", ""), ("key-ben", "", "")


def test_a_cursor_leads_each_server_to_its_own() -> None:
    cursors = Cursors(b"k" * 32)
    given = cursors.seal("tools/list", ANN, {"a": "", "b": "page 2"})
    assert cursors.open(given, "tools/list", ANN) == {"a": "", "b": "page 2"}
    assert "page" not in given


def test_a_cursor_works_for_its_own_method_owner_and_key_only() -> None:
    cursors = Cursors(b"k" * 32)
    given = cursors.seal("tools/list", ANN, {"a": "2"})
    assert cursors.open(given, "prompts/list", ANN) is None
    assert cursors.open(given, "tools/list", BEN) is None
    assert Cursors(b"j" * 32).open(given, "tools/list", ANN) is None


@pytest.mark.parametrize("cursor", ["", "x", "v1.AAAA", None, 7, {"a": "2"}])
def test_what_was_not_sealed_here_is_no_cursor(cursor: Json) -> None:
    assert Cursors(b"k" * 32).open(cursor, "tools/list", ANN) is None


def test_a_cursor_with_one_character_changed_is_none() -> None:
    cursors = Cursors(b"k" * 32)
    given = cursors.seal("tools/list", ANN, {"a": "2"})
    for at in range(3, len(given), 7):
        changed = given[:at] + ("A" if given[at] != "A" else "B") + given[at + 1 :]
        assert cursors.open(changed, "tools/list", ANN) is None
