"""Finding text in JSON trees of LLM wires: which strings are words, and which are opaque data.

Shared by the dialects, which know whose words they are. Unknown members count as words: what is not known to be
opaque is looked at.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, cast

import jiter

from gateway.dialects.dialect import Piece, Reading
from governance import jsontree
from governance.exchange import Role, Segment
from governance.jsontree import Json, MalformedError, as_object, as_text

_OPAQUE = frozenset(
    ("data", "file_data", "signature", "encrypted_content", "encrypted_index", "thoughtSignature", "b64_json")
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_DATA_URL = re.compile(r"data:[a-z0-9.+/-]*(?:;[a-z0-9=.-]+)*;base64,", re.IGNORECASE)
_SHORTEST_OPAQUE = 64
_PADDING = re.compile(r"[A-Za-z0-9]{0,19}")
_FEW_DIGITS = 11
_LABEL = re.compile(r"[a-z_.]{1,24}")
"""Shorter than any finding without digits or capital letters."""


def words(value: Json, pointer: str, role: Role, *, fixed: bool = False) -> Iterator[Segment]:
    """Every string below `pointer`, member names included, that is not an image, a sound, a file or a signature.

    Args:
        value: what stands at `pointer`.
        pointer: where it stands.
        role: whose words they are.
        fixed: whether they steer the call (the model's name) and must leave as they came.
    """
    for here, text, is_name in jsontree.walk(value, pointer):
        if text and (is_name or not is_opaque(here.rpartition("/")[2], text)):
            yield Segment(here, role, text, fixed)


Tell: TypeAlias = Callable[[Json, str], Iterator[Segment]]
"""Finds the words of one value at a pointer."""
TellMember: TypeAlias = Callable[[str, Json, str, Role], Iterator[Segment]]
"""Finds the words of one member of a message: its name, its value, where it stands, and whose message it is."""


def request_words(value: Json, roles: Mapping[str, Role], message: Tell) -> Iterator[Segment]:
    """The words of a request: those of each of its `messages`, and of its other members in the role they have."""
    for name, child in as_object(value).items():
        pointer = f"/{jsontree.escape(name)}"
        if name == "messages":
            yield from each(child, pointer, message)
        else:
            yield Segment(pointer, Role.OTHER, name)
            yield from words(child, pointer, roles.get(name, Role.OTHER), fixed=name == "model")


def message_words(message: Json, pointer: str, roles: Mapping[str, Role], member: TellMember) -> Iterator[Segment]:
    """The words of a message, in the role that it names."""
    if not isinstance(message, dict):
        yield from words(message, pointer, Role.OTHER)
        return
    role = roles.get(as_text(message.get("role")), Role.OTHER)
    for name, child in message.items():
        here = f"{pointer}/{jsontree.escape(name)}"
        yield Segment(here, role, name)
        yield from member(name, child, here, role)


def each(value: Json, pointer: str, tell: Tell) -> Iterator[Segment]:
    """The words of each item of a list; all there are where something else stands in its place."""
    if not isinstance(value, list):
        yield from words(value, pointer, Role.OTHER)
        return
    for place, item in enumerate(value):
        yield from tell(item, f"{pointer}/{place}")


def is_label(text: str) -> bool:
    """Whether a member's name, or a value that steers the reader, is too plain a word to hold anything."""
    return _LABEL.fullmatch(text) is not None


def is_padding(text: str) -> bool:
    """Whether a text is short filler (`obfuscation`), too short for a key and with too few digits for a number."""
    return _PADDING.fullmatch(text) is not None and sum(char.isdigit() for char in text) <= _FEW_DIGITS


def fixed(pointer: str, text: str) -> Piece:
    """A piece that is judged and cannot be replaced."""
    return Piece(f"{pointer}=", "", text, True, Role.OTHER, True)


def is_opaque(name: str, text: str) -> bool:
    """Whether the member `name` holds encoded bytes rather than words.

    The alphabet is checked too: a card number or an address in a member called `data` is still looked at.
    """
    if len(text) < _SHORTEST_OPAQUE:
        return False
    if name in _OPAQUE and _BASE64.fullmatch(text):
        return True
    found = _DATA_URL.match(text)
    return found is not None and _BASE64.fullmatch(text, found.end()) is not None


def event_value(data: bytes) -> Json:
    """The data of a stream's event.

    Only its texts are judged and its bytes go on as they came, so that depth and numbers, which cost more to check
    than everything else, are left to whoever writes the event anew.

    Raises:
        MalformedError: not JSON, or a member name occurs twice.
    """
    try:
        return cast("Json", jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True))
    except ValueError:
        return jsontree.parse(data)


def spliced(reading: Reading, changes: Mapping[str, str]) -> bytes | None:
    """The event's own bytes with one text replaced; None where it is not certain which bytes are that text.

    Without a backslash every string of a JSON text stands in it in just one way, so that a quoted text that occurs
    once can only be the one meant.
    """
    if len(changes) != 1 or b"\\" in reading.event.raw:
        return None
    ((pointer, text),) = changes.items()
    raw = reading.event.raw
    old, new = jsontree.dump(jsontree.at(reading.value, pointer)), jsontree.dump(text)
    start = raw.find(old)
    # The next one may overlap: what a quoted colon looks like stands between two strings as well.
    if start < 0 or raw.find(old, start + 1) >= 0:
        return None
    return raw[:start] + new + raw[start + len(old) :]


def model_and_stream(value: Json) -> tuple[str, bool]:
    """The model and the stream flag of a request.

    Raises:
        MalformedError: not an object, no model, or a flag that two readers could take differently.
    """
    if not isinstance(value, dict):
        raise MalformedError("send the request as a JSON object")
    model = value.get("model")
    if not isinstance(model, str) or not model:
        raise MalformedError("`model` must be a name")
    stream = value.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise MalformedError("`stream` must be true or false")
    return model, stream is True


def count(value: Json) -> int:
    """A count of tokens; anything that is none is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
