"""Compiled patterns, kept beside the secrets so that a process starts in a moment instead of a second or two.

What is kept belongs to these patterns, this library and this processor; anything else is compiled anew. The file is
believed because the directory is: whoever can write there can read the keys.
"""

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import hyperscan


def database(
    expressions: Sequence[bytes], numbers: Sequence[int], flags: Sequence[int], cache: Path | None, name: str
) -> "hyperscan.Database":
    """The block-mode database of some patterns, from `cache` where it is there and fits.

    Args:
        expressions: the patterns.
        numbers: what each reports when it matches.
        flags: Hyperscan's flags of each.
        cache: directory that keeps what was compiled; none is kept without one.
        name: tells the databases of one cache apart; what an older version left under it goes.

    Raises:
        hyperscan.error: a pattern is not in its dialect, or the library does not run on this processor.
    """
    if cache is None:
        return _compile(expressions, numbers, flags)
    told = repr((version("hyperscan"), platform.machine(), _processor(), expressions, numbers, flags))
    file = cache / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:32]}.hsdb"
    with contextlib.suppress(OSError, hyperscan.error):
        return hyperscan.loadb(file.read_bytes(), hyperscan.HS_MODE_BLOCK)  # pyright: ignore[reportArgumentType] - it takes bytes, its stub says bytearray
    made = _compile(expressions, numbers, flags)
    with contextlib.suppress(OSError):
        _keep(file, hyperscan.dumpb(made), name)
    return made


def _compile(expressions: Sequence[bytes], numbers: Sequence[int], flags: Sequence[int]) -> "hyperscan.Database":
    made = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    made.compile(expressions=list(expressions), ids=list(numbers), elements=len(expressions), flags=list(flags))
    return made


def _processor() -> str:
    """What the processor can do: the library compiles for it."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return ""


def _keep(file: Path, content: bytes, name: str) -> None:
    """Write a file whole or not at all, for its owner only; what older versions left behind goes."""
    for directory in (file.parent.parent, file.parent):  # the first holds secrets, too, and may not be there yet
        directory.mkdir(mode=0o700, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    Path(draft).replace(file)
    for other in file.parent.glob(f"{name}-*.hsdb"):
        if other != file:
            other.unlink(missing_ok=True)
