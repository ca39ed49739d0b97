"""How agents' files name values that stand elsewhere, and the same in `wicket.yaml`.

Pure. What `wicket.yaml` understands is in `governance/config/references.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wicket.connect.agent import References

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_KNOWN: Mapping[References, re.Pattern[str]] = {
    References.DOLLAR: re.compile(rf"\$\{{(?P<a>{_NAME})(?P<default>:-[^}}]*)?\}}"),
    References.ENV: re.compile(rf"\$\{{env:(?P<a>{_NAME})\}}"),
    References.SHELL: re.compile(rf"\$\{{(?P<a>{_NAME})\}}|\$(?P<b>{_NAME})"),
    References.BRACES: re.compile(rf"\{{env:(?P<a>{_NAME})\}}"),
}
_ODD: Mapping[References, re.Pattern[str]] = {
    References.DOLLAR: re.compile(r"\$\{"),
    References.ENV: re.compile(r"\$\{"),
    References.SHELL: re.compile(r"\$\{"),
    References.BRACES: re.compile(r"\{(?:env|file):"),
}
_OURS = re.compile(rf"\$\$\{{|\$\{{(?:env:)?(?P<name>{_NAME})(?P<default>:-[^}}]*)?\}}")


@dataclass(frozen=True)
class Taken:
    """A value as `wicket.yaml` would have it."""

    text: str
    literal: bool
    """Whether it is the value itself, and so may be a secret."""


def taken(text: str, style: References) -> Taken | None:
    """`text` of an agent's file in the words of `wicket.yaml`; nothing where only the agent can know what it means."""
    known = _KNOWN.get(style)
    if known is None:
        return Taken(text, literal=True)
    if text.startswith("file:") and known.search(text):
        return None  # in `wicket.yaml` it would be the content of a file
    pieces: list[str] = []
    end = 0
    for found in known.finditer(text):
        pieces += [literally(text[end : found.start()]), _reference(found)]
        end = found.end()
    if _ODD[style].search(known.sub("", text)):
        return None
    if not pieces:
        return Taken(text, literal=True)
    return Taken("".join([*pieces, literally(text[end:])]), literal=False)


def variables(text: str) -> list[str]:
    """The environment variables without which a value of `wicket.yaml` cannot be read."""
    return [found["name"] for found in _OURS.finditer(text) if found["name"] and found["default"] is None]


def _reference(found: re.Match[str]) -> str:
    groups = found.groupdict("")
    return f"${{{groups['a'] or groups.get('b', '')}{groups.get('default', '')}}}"


def literally(text: str) -> str:
    """`text` for `wicket.yaml`, which must not take anything in it for a reference."""
    return text.replace("${", "$${")
