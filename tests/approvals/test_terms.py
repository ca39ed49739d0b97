"""Which arguments a grant is for (`approvals.terms`)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.terms import MOST_LEAVES, GrantError, Wish, fits, leaves, place_of, terms_in, widened, wish_of
from governance import jsontree
from governance.jsontree import Json, JsonObject

CALL: JsonObject = {"path": "/tmp/a", "n": 3, "force": False, "note": None, "tags": ["x", "y"], "more": {}, "list": []}


def test_as_it_was_asked_it_is_for_the_same_arguments_alone() -> None:
    terms = widened(CALL, {})
    assert fits(terms, CALL)
    assert fits(terms, dict(reversed(CALL.items())))
    others: tuple[JsonObject, ...] = (
        {"path": "/tmp/b"}, {"n": 4}, {"n": "3"}, {"n": True}, {"force": True}, {"force": None}, {"note": "x"},
        {"tags": ["x"]}, {"tags": ["x", "y", "z"]}, {"tags": {"0": "x", "1": "y"}}, {"more": []}, {"more": {"a": 1}},
        {"list": {}}, {"list": [None]}, {"extra": 1}, {"extra": None}, {"extra": {}},
    )  # fmt: skip
    for other in others:
        assert not fits(terms, {**CALL, **other}), other
    for name in CALL:
        assert not fits(terms, {key: value for key, value in CALL.items() if key != name}), name


def test_a_text_with_stars_means_itself_unless_a_person_makes_it_a_pattern() -> None:
    assert not fits(widened({"q": "a*"}, {}), {"q": "ab"})
    assert fits(widened({"q": "a*"}, {"/q": "a*"}), {"q": "ab"})


@pytest.mark.parametrize(
    ("wished", "good", "bad"),
    [
        ({"/path": "/tmp/*"}, {"path": "/tmp/b"}, {"path": "/etc/b"}),
        ({"/path": ["/tmp/?", "/var/*"]}, {"path": "/var/x"}, {"path": "/tmp/bb"}),
        ({"/n": {"ge": 1, "le": 5}}, {"n": 5}, {"n": 6}),
        ({"/n": {"le": 5}}, {"n": 1.5}, {"n": "1"}),
        ({"/tags/*": "?"}, {"tags": ["q", "r", "s"]}, {"tags": ["q", "long"]}),
        ({"/tags/*": "?"}, {"tags": ["q"]}, {"tags": "q"}),
        ({"/tags": {"exists": True}}, {"tags": {"any": ["thing"]}}, {"other": 1}),
        ({"/*": {"exists": True}}, {"whatever": {"at": "all"}}, None),
    ],
)
def test_a_person_may_widen_an_argument_in_the_language_of_rules(
    wished: JsonObject, good: JsonObject, bad: JsonObject | None
) -> None:
    terms = widened(CALL, wished)
    assert fits(terms, CALL)
    assert fits(terms, {**CALL, **good})
    assert bad is None or not fits(terms, {**CALL, **bad})


def test_every_value_at_a_widened_place_must_fit_and_not_only_one() -> None:
    call: Json = {"items": [{"id": "a1"}, {"id": "a2"}]}
    terms = widened(call, {"/items/*/id": "a*"})
    assert fits(terms, {"items": [{"id": "a9"}]})
    assert not fits(terms, {"items": [{"id": "a9"}, {"id": "b1"}]})
    assert not fits(terms, {"items": [{"id": "a9", "also": "a1"}]})


@pytest.mark.parametrize(
    ("wished", "said"),
    [
        ({"path": "x"}, "JSON pointer"),
        ({"/nothing": "x"}, "has nothing at `/nothing`"),
        ({"/path": {"like": "x"}}, "cannot be read"),
        ({"/path": {"exists": False}}, "cannot be asked to be missing"),
        ({"/path": "/etc/*"}, "its own arguments must fit"),
        ({"/n": {"gt": "x"}}, "cannot be read"),
    ],
)
def test_what_cannot_be_allowed_is_told(wished: JsonObject, said: str) -> None:
    with pytest.raises(GrantError, match=said):
        widened(CALL, wished)


def test_names_that_mean_something_else_here_are_refused_until_they_are_widened_away() -> None:
    calls: tuple[JsonObject, ...] = ({"*": 1}, {"a": {"7": 1}})
    for call in calls:
        with pytest.raises(GrantError, match="means something else"):
            widened(call, {})
    assert fits(widened({"a": {"7": 1}}, {"/a": {"exists": True}}), {"a": {"8": 2}})


def test_a_call_of_any_size_is_judged_quickly_and_one_beyond_the_bound_is_not_covered() -> None:
    terms = widened({"a": [1]}, {"/a/*": {"exists": True}})
    many: list[Json] = [1] * MOST_LEAVES
    assert fits(terms, {"a": many})
    assert not fits(terms, {"a": [*many, 1]})
    with pytest.raises(GrantError, match="too many arguments"):
        widened({"a": many[:300]}, {})


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~x", max_size=3), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.text("ab/~x", max_size=3), JSON, max_size=4)


@given(ARGUMENTS, ARGUMENTS)
def test_unwidened_terms_fit_exactly_the_calls_that_are_equal(mine: JsonObject, theirs: JsonObject) -> None:
    """Equal as the digest of a ticket has it: order of members and `1` against `1.0` do not count."""
    assert fits(widened(mine, {}), theirs) == (jsontree.canonical(mine) == jsontree.canonical(theirs))
    assert fits(widened(mine, {}), mine)


@given(ARGUMENTS)
def test_every_place_leads_to_its_value(arguments: JsonObject) -> None:
    for steps, value in leaves(arguments):
        assert jsontree.at(arguments, place_of(steps)) == value


def test_a_wish_is_read_strictly() -> None:
    assert wish_of({}) == Wish({})
    assert wish_of({"minutes": 2, "uses": 3, "session": False}) == Wish({}, session=False, seconds=120, uses=3)
    until = wish_of({"until": "2026-11-21T12:00:00Z"}).until
    assert until is not None
    assert until.isoformat() == "2026-11-21T12:00:00+00:00"
    wrong: tuple[JsonObject, ...] = (
        {"use": 3}, {"uses": "3"}, {"uses": True}, {"session": "no"}, {"minutes": "5"}, {"arguments": []},
        {"until": "2026-11-21"}, {"until": 5}, {"minutes": 1, "until": "2026-11-21T12:00:00Z"},
    )  # fmt: skip
    for one in wrong:
        with pytest.raises(GrantError):
            wish_of(one)
    assert terms_in({}) is None
