"""The terms of a grant: which arguments it is for, in the language of policy rules, how often, and until when.

Pure. Stricter than a rule: every value of a call must stand at a place that the terms name, and fit there, so that an
argument nobody thought of is never let through. Whose grant it is, and of which tool, is `approvals/grants/grant.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from governance import jsontree
from governance.clock import rfc3339
from governance.jsontree import Json, JsonObject
from governance.policy.arguments import EVERY, ArgumentTest, compile_test
from governance.policy.glob import is_wild
from governance.policy.rules import Comparison, Pointer

MOST_PLACES = 200
"""Arguments of which a grant can speak one by one."""
MOST_BYTES = 64 * 1024
"""Size of all that a grant says of arguments."""
MOST_LEAVES = 2_000
"""Values in a call, beyond which no grant covers it: matching must stay quick whatever an agent sends."""
Steps: TypeAlias = tuple[str | int, ...]
"""The way to a value: names of members, and places in lists."""
_POINTER: TypeAdapter[str] = TypeAdapter(Pointer)
_EMPTY: tuple[Json, ...] = ({}, [])


class GrantError(Exception):
    """More than the call cannot be allowed like this; says why, in words for the person. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to allow beyond the call. What they leave out is as narrow as it can be."""

    arguments: Mapping[str, Json]
    """What may stand at a place instead of what the call has there, by JSON pointer."""
    session: bool = True
    """Only in the session that made the call."""
    seconds: float | None = None
    """For how long; None = as long as the rules allow."""
    until: datetime | None = None
    """The same as a moment."""
    uses: int | None = None
    """For how many further calls; None = as many as the rules allow."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant is good for."""

    arguments: Mapping[str, Json]
    """What must stand at each place, as a rule's `args` say it; `{}` and `[]` are the empty object and list."""
    session: bool
    until: datetime
    uses: int
    """Further calls, beside the one that was approved."""

    @property
    def form(self) -> JsonObject:
        """The terms as the form of a call holds them."""
        return {
            "arguments": dict(self.arguments),
            "session": self.session,
            "until": rfc3339(self.until),
            "uses": self.uses,
        }


def wish_of(asked: JsonObject) -> Wish:
    """What a program, or the command line, wishes for: `arguments`, `session`, `minutes` or `until`, and `uses`.

    Raises:
        GrantError: it cannot be read; says what would be.
    """
    known = {"arguments", "session", "minutes", "until", "uses"}
    if strange := sorted(asked.keys() - known):
        raise GrantError(f"`{strange[0]}` is nothing that a grant has: known are {', '.join(sorted(known))}")
    arguments, session, minutes = asked.get("arguments", {}), asked.get("session", True), asked.get("minutes")
    uses, until = asked.get("uses"), asked.get("until")
    if not isinstance(arguments, dict) or not isinstance(session, bool):
        raise GrantError("`arguments` is an object of pointers, and `session` is true or false")
    if isinstance(minutes, bool) or not isinstance(minutes, int | float | None):
        raise GrantError("`minutes` is a number")
    if isinstance(uses, bool) or not isinstance(uses, int | None):
        raise GrantError("`uses` is a whole number")
    if minutes is not None and until is not None:
        raise GrantError("give one of `minutes` and `until`")
    seconds = None if minutes is None else minutes * 60
    return Wish(arguments, session, seconds, None if until is None else _moment(until), uses)


def _moment(text: Json) -> datetime:
    try:
        moment = datetime.fromisoformat(jsontree.as_text(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise GrantError("`until` is a time with its zone: write `2026-11-21T12:00:00Z`")
    return moment.astimezone(UTC)


def terms_in(form: JsonObject) -> Terms | None:
    """The terms that a form holds, if it holds any (`Terms.form`)."""
    if "grant" not in form:
        return None
    kept = jsontree.as_object(form["grant"])
    uses = kept.get("uses")
    return Terms(
        jsontree.as_object(kept.get("arguments")),
        kept.get("session") is not False,
        datetime.fromisoformat(jsontree.as_text(kept.get("until"))),
        uses if isinstance(uses, int) else 0,
    )


def end_of(wish: Wish, now: datetime, longest: int) -> datetime:
    """When what is wished for ends.

    Raises:
        GrantError: that is past, or later than the rules allow; `longest` is in seconds.
    """
    latest = now + timedelta(seconds=longest)
    until = wish.until
    if until is None:
        until = latest if wish.seconds is None else now + timedelta(seconds=min(wish.seconds, 10.0 * longest))
    if not now < until <= latest:
        raise GrantError(f"it must end between now and {rfc3339(latest)}: the rule allows no longer")
    return until


def exact(found: Iterable[tuple[Steps, Json]]) -> JsonObject:
    """Values of a call's arguments (`leaves`) as terms that only the same ones meet.

    Raises:
        GrantError: they cannot be written like this.
    """
    terms: JsonObject = {}
    for steps, value in found:
        if any(step == EVERY or (isinstance(step, str) and step.isdecimal()) for step in steps):
            raise GrantError("an argument is called `*` or by a number, which means something else in a grant")
        terms[place_of(steps)] = {"equals": value} if isinstance(value, str) and is_wild(value) else value
    return terms


def leaves(value: Json, steps: Steps = ()) -> Iterator[tuple[Steps, Json]]:
    """Every value that is no object or list, and every empty one of these, with the way to it."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from leaves(member, (*steps, name))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*steps, index))
    elif steps:
        yield steps, value


def widened(arguments: Json, wished: Mapping[str, Json]) -> JsonObject:
    """What a grant says of arguments: those of the call, but for what a person wants to allow instead.

    Raises:
        GrantError: a place is none of the call's, what is to stand there cannot be read, or the call itself would not
            be covered.
    """
    asked = [_checked(pointer, spec) for pointer, spec in wished.items()]
    found = list(leaves(arguments))
    for place in asked:
        if not any(place.reaches(steps) for steps, _ in found):
            raise GrantError(f"the call has nothing at `{place.pointer}`: name one of its arguments")
    kept = exact([one for one in found if not any(place.reaches(one[0]) for place in asked)])
    terms: JsonObject = {**kept, **wished}
    if len(terms) > MOST_PLACES or len(jsontree.dump(terms)) > MOST_BYTES:
        raise GrantError("the call has too many arguments, or too long ones, to name each: widen some, as `/name/*`")
    if not fits(terms, arguments):
        raise GrantError("the call itself is not what you allow: its own arguments must fit")
    return terms


def fits(terms: Mapping[str, Json], arguments: Json) -> bool:
    """Whether arguments are what terms allow: nothing at a place that they do not name, and all that they name."""
    places = [_Place.of(pointer, spec) for pointer, spec in terms.items()]
    met: set[int] = set()
    for count, (steps, _) in enumerate(leaves(arguments)):
        named = [index for index, one in enumerate(places) if one.reaches(steps)]
        if count >= MOST_LEAVES or not named or not all(places[index].admits(arguments, steps) for index in named):
            return False
        met.update(named)
    return all(index in met or one.wild for index, one in enumerate(places))


@dataclass(frozen=True, slots=True)
class _Place:
    """One line of the terms."""

    pointer: str
    steps: tuple[str, ...]
    spec: Json
    test: ArgumentTest | None
    """None = exactly the empty object or list that `spec` is."""

    @classmethod
    def of(cls, pointer: str, spec: Json) -> "_Place":
        steps = tuple(jsontree.steps(pointer))
        return cls(pointer, steps, spec, None if spec in _EMPTY else compile_test("/value", _comparison(spec)))

    @property
    def wild(self) -> bool:
        return EVERY in self.steps

    def reaches(self, steps: Steps) -> bool:
        """Whether a value with these steps stands at this place, or inside of what does."""
        return len(self.steps) <= len(steps) and all(map(_same_step, self.steps, steps))

    def admits(self, arguments: Json, steps: Steps) -> bool:
        """Whether what stands here, on the way to a value, may stand here."""
        value = jsontree.at(arguments, place_of(steps[: len(self.steps)]))
        if self.test is None:
            return value == self.spec and type(value) is type(self.spec)
        return self.test.holds({"value": value}) is True


def _same_step(mine: str, theirs: str | int) -> bool:
    """Whether a step of the terms is one of a call. Numbers are places in a list: a member of that name is none."""
    if mine == EVERY:
        return True
    return mine == str(theirs) if isinstance(theirs, int) else mine == theirs and not mine.isdecimal()


def place_of(steps: Steps) -> str:
    """The JSON pointer of a way."""
    return "".join(f"/{jsontree.escape(str(one))}" for one in steps)


def _comparison(spec: Json) -> Comparison:
    """A line as rules write it: a bare value, or a list of them, is short for `any_of`."""
    if isinstance(spec, dict):
        return Comparison.model_validate(spec)
    return Comparison.model_validate({"any_of": spec if isinstance(spec, list) else [spec]})


def _checked(pointer: str, spec: Json) -> _Place:
    try:
        _POINTER.validate_python(pointer, strict=True)
    except ValidationError:
        raise GrantError("name arguments by JSON pointer: `/name`, or `/items/*/id` for every item") from None
    try:
        place = _Place.of(pointer, spec)
    except ValidationError:
        raise GrantError(f"what `{pointer}` may be cannot be read: write it as a rule's `args` do") from None
    if place.test is not None and place.test.exists is False:
        raise GrantError(f"`{pointer}` cannot be asked to be missing: what is not named is not allowed anyway")
    return place
