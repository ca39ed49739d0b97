"""What of the official SDK every proxy needs: the protocol's words, and its rules for headers. Nothing else of it.

`import mcp` loads the SDK's whole client and server, and a model for each message of each revision: half a second and
30 MB in every process, wrappers included. So the rules are read from the one file that holds them, which imports none
of that. The tables below are ours; a test holds them to the SDK's. Its OAuth client is loaded where somebody signs in
(`credentials/sdk.py`).
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)
from mcp_types.jsonrpc import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    UNSUPPORTED_PROTOCOL_VERSION,
    URL_ELICITATION_REQUIRED,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

_RULES = "shared/inbound.py"


def _alone(file: str) -> ModuleType:
    """One file of the SDK, as a module of its own."""
    package = importlib.util.find_spec("mcp")
    if package is None or package.origin is None:
        raise ImportError("the package `mcp` is not installed")
    name = f"{__name__}.{Path(file).stem}"
    spec = importlib.util.spec_from_file_location(name, Path(package.origin).parent / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"the package `mcp` has no `{file}`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from mcp.shared import inbound
else:
    inbound = _alone(_RULES)

REMOVED_REQUESTS: Final = frozenset(
    {"initialize", "logging/setLevel", "ping", "resources/subscribe", "resources/unsubscribe"}
)
"""What a client may ask before 2026-07-28 only."""
INPUT_REQUIRED_METHODS: Final = frozenset({"prompts/get", "resources/read", "tools/call"})
"""Requests whose result may ask for more input (2026-07-28, "Multi Round-Trip Requests")."""
CACHEABLE_METHODS: Final = frozenset(
    {"prompts/list", "resources/list", "resources/read", "resources/templates/list", "server/discover", "tools/list"}
)
"""Requests whose result says for how long it holds (2026-07-28, "Caching")."""

__all__ = [
    "CACHEABLE_METHODS",
    "CLIENT_CAPABILITIES_META_KEY",
    "CLIENT_INFO_META_KEY",
    "HANDSHAKE_PROTOCOL_VERSIONS",
    "HEADER_MISMATCH",
    "INPUT_REQUIRED_METHODS",
    "LATEST_HANDSHAKE_VERSION",
    "LATEST_MODERN_VERSION",
    "LOG_LEVEL_META_KEY",
    "METHOD_NOT_FOUND",
    "MISSING_REQUIRED_CLIENT_CAPABILITY",
    "PROTOCOL_VERSION_META_KEY",
    "REMOVED_REQUESTS",
    "SERVER_INFO_META_KEY",
    "UNSUPPORTED_PROTOCOL_VERSION",
    "URL_ELICITATION_REQUIRED",
    "inbound",
]
