"""Whether a string is what it claims to be: base64 of a picture, of sound, or of a binary resource.

Such strings are no text: nothing is looked for in them, and nothing is replaced. A claim alone is not believed, or any
text could pass under it. What a real picture may hide in its pixels or its metadata is not looked for.
"""

import base64
import binascii

from governance import jsontree
from governance.jsontree import Json

_PICTURES_AND_SOUND = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"\x00\x00\x01\x00",
    b"\xff\x0a",
    b"RIFF",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3",
    b"\xff\xf2",
    b"\xff\xf1",
    b"\xff\xf9",
    b"OggS",
    b"fLaC",
    b"FORM",
    b"MThd",
    b"#!AMR",
    b"\x1aE\xdf\xa3",
)
"""How files of these kinds begin: PNG, JPEG, GIF, BMP, TIFF, ICO, JPEG XL, WebP, WAV, MP3, AAC, Ogg, FLAC, AIFF, ..."""
_ISO_BOX = b"ftyp"
"""Stands at offset 4 of the ISO family: AVIF, HEIC, M4A."""
_TEXT = bytes([9, 10, 12, 13, *range(32, 127)])
_SAMPLE = 4096
_LINE_ENDS = str.maketrans("", "", "\r\n")


def is_media(value: Json, pointer: str, text: str) -> bool:
    """Whether the string at `pointer` is base64 of what its neighbours say it is.

    Args:
        value: the whole message.
        pointer: where the string stands.
        text: the string.
    """
    holder_at, _, name = pointer.rpartition("/")
    if name not in ("data", "blob"):
        return False
    holder = jsontree.as_object(jsontree.at(value, holder_at))
    if name == "data":
        if holder.get("type") not in ("image", "audio"):
            return False
    elif "uri" not in holder:
        return False
    data = _decoded(text)
    if data is None or _is_text(data):
        return False
    return name == "blob" or data.startswith(_PICTURES_AND_SOUND) or data[4:8] == _ISO_BOX


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.translate(_LINE_ENDS), validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_text(data: bytes) -> bool:
    """Whether at least seven bytes of eight would be read as text, in ASCII or else in UTF-8."""
    if len(data.translate(None, _TEXT)) * 8 < len(data) or not data:
        return True
    try:
        shown = data.decode()
    except UnicodeDecodeError:
        shown = data[:_SAMPLE].decode(errors="replace")
    return sum(not (char.isprintable() or char.isspace()) or char == "\ufffd" for char in shown) * 8 < len(shown)
