"""What a wrapper must have in common with the MCP proxy that is to serve its agent; the other side is `handover.py`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from governance.config.document import ConfigError, read
from governance.jsontree import Json
from mcp_proxy.handover.listener import Terms
from wicket.handover import digest_of, home, meanings

INDIFFERENT = frozenset({"providers", "mcpServers", "servers"})
"""Sections that say nothing of a server that a wrapper starts itself. An agent often has a gateway key where we have a
provider's, under the same name."""


def terms_of(config: Path, environ: Mapping[str, str]) -> Terms:
    """The terms of a proxy with this configuration file, to be made before it is loaded.

    What is wrong with the file is told by who loads it.
    """
    try:
        digest = digest_of(config.read_bytes())
        value = read(config).value
    except (OSError, ConfigError):
        return Terms(home(), "")
    sections = value.items() if isinstance(value, dict) else ()
    texts = [text for name, section in sections if name not in INDIFFERENT for text in _texts(section)]
    return Terms(home(), digest, meanings("\n".join(texts).encode("utf-8", "surrogatepass"), environ))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)
