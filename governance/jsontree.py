"""JSON as Wicket needs it: parsed once and strictly, walked, edited without touching the original, digested.

What is judged must be what is sent, so `parse` refuses every text that two parsers could read differently.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeAlias, cast

import jiter
import orjson

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]

Number: TypeAlias = int | float
"""Where a whole number must stay exact: what is compiled makes a double of it where `float` alone is written."""

MAX_DEPTH = 100
_PLACE = re.compile(r"at line (\d+) column (\d+)")


class MalformedError(ValueError):
    """A text that is not JSON, or that parsers read differently. The message is ours and safe to send to a client."""


Levels: TypeAlias = list[list[str]]
"""Every string of a tree, member names included: those of the root first, then those of each level below it."""


class Parsed(NamedTuple):
    """A JSON text read once: its value, and every string in it."""

    value: Json
    strings: Levels


def read(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Parsed:
    """Parse a JSON text (RFC 8259) that every parser reads the same way.

    Refused: invalid UTF-8, byte order marks, lone surrogates, `NaN` and infinities, numbers out of range, integers
    beyond 64 bits, duplicate member names at any depth, and nesting deeper than `max_depth`.

    Raises:
        MalformedError: says what is wrong, and where if that is known.
    """
    try:
        value = cast("Json", jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True))
    except ValueError as error:
        raise MalformedError(_why_malformed(raw, str(error), max_depth)) from None
    return Parsed(value, strings(value, max_depth))


def parse(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Json:
    """The value of a JSON text, read as strictly as `read` does.

    Raises:
        MalformedError: as `read`.
    """
    return read(raw, max_depth=max_depth).value


def _why_malformed(raw: bytes, said: str, max_depth: int) -> str:
    if raw[:3] == b"\xef\xbb\xbf" or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "byte order mark: send JSON as UTF-8 without one"
    place = _PLACE.search(said)
    where = f" at line {place[1]}, column {place[2]}" if place else ""
    if said.startswith("Detected duplicate key"):
        return f"duplicate member name{where}: send each name once"
    if said.startswith("recursion limit"):
        return f"nested deeper than {max_depth} levels"
    try:
        raw.decode()
    except UnicodeDecodeError as bad:
        return f"invalid UTF-8 at byte {bad.start}"
    return f"not valid JSON{where}"


def strings(value: Json, max_depth: int = MAX_DEPTH) -> Levels:
    """Every string of a tree, level by level; checks depth and numbers on the way.

    Raises:
        MalformedError: the tree is deeper than `max_depth`, or holds a number that parsers read differently.
    """
    levels: Levels = []
    level: list[Json] = [value]
    depth = 0
    while level:
        found: list[str] = []
        below: list[Json] = []
        nested = False
        for node in level:
            if isinstance(node, str):
                found.append(node)
            elif isinstance(node, dict):
                nested = True
                found += node
                below += node.values()
            elif isinstance(node, list):
                nested = True
                below += node
            elif node is not None:
                _refuse_inexact(node)
        if nested and depth == max_depth:
            raise MalformedError(f"nested deeper than {max_depth} levels")
        if found:
            levels.append(found)
        level, depth = below, depth + 1
    return levels


def _refuse_inexact(number: Number) -> None:
    if isinstance(number, float):
        if not math.isfinite(number):
            raise MalformedError("a number is out of range: send it as a string")
    elif not -(2**63) <= number < 2**64:
        raise MalformedError("an integer is beyond 64 bits: send it as a string")


def dump(value: Json) -> bytes:
    """Compact JSON text of a value, members in their own order."""
    return orjson.dumps(value)


def walk(value: Json, pointer: str = "") -> Iterator[tuple[str, str, bool]]:
    """Every string of a tree in reading order as `(pointer, text, is_name)`; a name has the pointer of its value."""
    stack: list[tuple[str, Json, bool]] = [(pointer, value, False)]
    while stack:
        here, node, is_name = stack.pop()
        if isinstance(node, str):
            yield here, node, is_name
        elif isinstance(node, dict):
            for name, child in reversed(node.items()):
                below = f"{here}/{escape(name)}"
                stack.append((below, child, False))
                stack.append((below, name, True))
        elif isinstance(node, list):
            stack.extend((f"{here}/{index}", child, False) for index, child in reversed(list(enumerate(node))))


def escape(name: str) -> str:
    """`name` as one step of a JSON pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def steps(pointer: str) -> list[str]:
    """The unescaped steps of a JSON pointer."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def at(value: Json, pointer: str, default: Json = None) -> Json:
    """What stands at `pointer`, or `default` where nothing does."""
    node: Json = value
    for step in steps(pointer):
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return default
    return node


def replaced(value: Json, changes: Mapping[str, Json]) -> Json:
    """A copy of `value` with what stands at each pointer replaced. Untouched branches are shared, not copied."""
    for pointer, new in changes.items():
        value = _replace_one(value, steps(pointer), new)
    return value


def _replace_one(value: Json, path: list[str], new: Json) -> Json:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step in value:
        return {**value, step: _replace_one(value[step], rest, new)}
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        index = int(step)
        return [*value[:index], _replace_one(value[index], rest, new), *value[index + 1 :]]
    raise KeyError(step)


def canonical(value: Json) -> bytes:
    """The one text of a value: RFC 8785, but exact where that rounds.

    RFC 8785 prints 2^60 and 2^60 + 1 alike; a digest that gates an action must not. So integers keep all their digits,
    and a large double whose shortest digits spell another integer is written with an exponent. Equal by design:
    member order, and `1` against `1.0`.
    """
    if _is_plain(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return _canonical(value).encode()


def _is_plain(value: Json) -> bool:
    """Whether orjson's own sorted text is already the canonical one: no floats, and only ASCII member names."""
    stack: list[Json] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, float):
            return False
        if isinstance(node, dict):
            if not all(map(str.isascii, node)):
                return False
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return True


def _canonical(value: Json) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_canonical(name)}:{_canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float):
        return _canonical_float(value)
    return orjson.dumps(value).decode()


def _canonical_float(value: float) -> str:
    """ECMAScript's `Number::toString` (RFC 8785 section 3.2.2.3), except where that spells another integer."""
    if not math.isfinite(value):
        raise MalformedError("a number that is not finite has no canonical form")
    if value == 0:
        return "0"
    shortest = Decimal(repr(value))
    if abs(value) < 1e21 and shortest == value:  # else the digits would be those of another, exact integer
        return format(shortest, "f").removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    power = int(exponent)
    if -7 < power < 0:
        digits = mantissa.lstrip("-").replace(".", "")
        return ("-" if value < 0 else "") + "0." + "0" * (-power - 1) + digits
    return f"{mantissa}e{power:+d}"


def digest(value: Json) -> str:
    """SHA-256 of the canonical form, in lower-case hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def as_object(value: Json) -> JsonObject:
    """`value` if it is an object, else an empty one: for reading optional members without a ladder of checks."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """`value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Json, default: str = "") -> str:
    """`value` if it is a string, else `default`."""
    return value if isinstance(value, str) else default
