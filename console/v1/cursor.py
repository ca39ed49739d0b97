"""Where a page of a list ends, as a text that programs hand back and do not read. It gives no right to anything."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from console.v1.problems import ProblemError
from governance import jsontree
from governance.jsontree import Json

_BAD = ProblemError(400, "cursor", "`cursor` is none that this list gave: begin without it")


def close(*place: str | int) -> str:
    """The text for a place."""
    return urlsafe_b64encode(jsontree.dump(list[Json](place))).decode().rstrip("=")


def opened(cursor: str) -> tuple[str, str] | None:
    """The two texts that a place is made of; None at the beginning.

    Raises:
        ProblemError: it is no cursor.
    """
    if not cursor:
        return None
    match _read(cursor):
        case [str(first), str(second)]:
            return first, second
        case _:
            raise _BAD


def number(cursor: str) -> int | None:
    """The number that a place is; None at the beginning.

    Raises:
        ProblemError: it is no cursor.
    """
    if not cursor:
        return None
    match _read(cursor):
        case [int(place)] if 0 <= place < 1 << 62:
            return place
        case _:
            raise _BAD


def _read(cursor: str) -> list[Json]:
    try:
        value = jsontree.parse(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except ValueError:
        raise _BAD from None
    if not isinstance(value, list) or any(isinstance(one, bool) for one in value):
        raise _BAD
    return value
