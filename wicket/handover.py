"""Whether a wrapper serves by itself, or hands its pipes to the MCP proxy that runs beside it.

It hands them over where one runs that is the same program with the same configuration. Loads next to nothing, because
a wrapper that hands over needs nothing else. Why: `docs/decisions/handover.md`.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcp_proxy.handover.sender import Hello, Outcome, hand_over
from mcp_proxy.handover.wire import SOCKET

KEY_VARIABLE = "WICKET_KEY"
"""Where an agent's configuration gives the wrapper its gateway key."""
_STATE = re.compile(rb"""^[\s{]*["']?state["']?\s*:\s*["']?([^"'#,\r\n]+)""", re.MULTILINE)
_USUAL_STATE = ".wicket"
_SHORT = 32
"""Digits of the digest of a value: enough to tell two apart."""
_REFERENCE = re.compile(rb"\$\$\{|\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""As in `governance/config/references.py`, which would load far more than this."""


def handed_over(config: Path, server: str, command: Sequence[str], environ: Mapping[str, str]) -> Outcome | None:
    """Let the proxy serve the agent on our standard streams.

    Args:
        config: the configuration file.
        server: what policies and the log call the server.
        command: starts the server, here.
        environ: our own environment.

    Returns:
        How it ended; None where there is no such proxy and nothing was read yet.
    """
    try:
        raw = config.read_bytes()
    except OSError:
        return None  # what is wrong with it is told by who loads it
    hello = Hello(home(), digest_of(raw), meanings(raw, environ), server, key_in(environ))
    return hand_over(_state(config, raw) / SOCKET, hello, command, environ)


def key_in(environ: Mapping[str, str]) -> str | None:
    """The gateway key that the agent's configuration gives, if any."""
    return environ.get(KEY_VARIABLE) or None


def digest_of(raw: bytes) -> str:
    """Digest of a configuration file, or of anything else."""
    return hashlib.sha256(raw).hexdigest()


def meanings(text: bytes, environ: Mapping[str, str]) -> dict[str, str | None]:
    """What each `${NAME}` and `${NAME:-default}` in a text means here, as a digest; None where it means nothing."""
    found: dict[str, str | None] = {}
    for one in _REFERENCE.finditer(text):
        name, default = one.groups()
        if name is not None:
            value = os.fsencode(environ.get(name.decode(), "")) or default
            found[one[0].decode("utf-8", "replace")] = None if value is None else digest_of(value)[:_SHORT]
    return found


def home() -> str:
    """Where the packages of this program lie."""
    return str(Path(__file__).resolve().parent.parent)


def _state(config: Path, raw: bytes) -> Path:
    """Where the state directory probably is: reading the file properly would cost more than all the rest.

    If this is wrong nobody listens there, or somebody with another configuration, and the wrapper serves by itself.
    """
    said = _STATE.search(raw)
    name = said[1].decode("utf-8", "replace").strip() if said else _USUAL_STATE
    return config.absolute().parent / Path(name).expanduser()
