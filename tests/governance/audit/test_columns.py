"""The columns for searching are copies that both databases take."""

from governance.audit.columns import FIELDS, columns


def test_each_field_stands_in_its_column() -> None:
    assert columns({name: f"the {name}" for name in FIELDS}) == [f"the {name}" for name in FIELDS]


def test_a_missing_field_is_empty() -> None:
    assert columns({"tool": "write"}) == ["", "", "", "", "", "", "", "write"]


def test_what_is_not_text_has_no_column() -> None:
    assert columns({"tool": 5, "model": ["a"], "key_id": True}) == [""] * 8


def test_what_a_database_would_refuse_is_made_to_fit() -> None:
    assert columns({"tool": "a\0b"})[-1] == "a\ufffdb"
    assert columns({"tool": "x" * 10_000})[-1] == "x" * 500
