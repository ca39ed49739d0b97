"""Values that stand elsewhere: `${ENV}`, `${ENV:-default}` and `file:PATH`.

It fills them in and says which were missing. It does not know which sections need them; `load` decides what a
missing value means.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from governance.config.document import Document, Place, Problem
from governance.jsontree import Json

_ENV = re.compile(r"\$(\$\{)|\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)")
_WHOLE = re.compile(r"\s*\$\{[^}]*\}\s*")
_LARGEST_SECRET = 64 * 1024

FROM_FILE: tuple[Place, ...] = (
    ("database",),
    ("secrets", "*"),
    ("providers", "*", "api_key"),
    ("providers", "*", "headers", "*"),
    ("mcpServers", "*", "url"),
    ("mcpServers", "*", "headers", "*"),
    ("identity", "oauth", "issuers", "*", "introspection", "client_secret"),
    ("identity", "oauth", "issuers", "*", "introspection", "client_key"),
    ("mcpServers", "*", "auth", "client_secret"),
    ("mcpServers", "*", "auth", "client_key"),
    ("approvals", "webhooks", "*", "secret"),
    ("approvals", "channels", "*", "url"),
    ("approvals", "channels", "*", "password"),
    ("metrics", "token"),
    ("console", "oidc", "client_secret"),
    ("console", "oidc", "client_key"),
)
"""Settings that may say `file:PATH`. Not the environment of a server: there `file:` begins ordinary values."""

NEVER_LITERAL: tuple[Place, ...] = (
    ("secrets", "*"),
    ("providers", "*", "api_key"),
    ("identity", "oauth", "issuers", "*", "introspection", "client_secret"),
    ("identity", "oauth", "issuers", "*", "introspection", "client_key"),
    ("mcpServers", "*", "auth", "client_secret"),
    ("mcpServers", "*", "auth", "client_key"),
    ("approvals", "webhooks", "*", "secret"),
    ("approvals", "channels", "*", "url"),
    ("approvals", "channels", "*", "password"),
    ("metrics", "token"),
    ("console", "oidc", "client_secret"),
    ("console", "oidc", "client_key"),
)
"""Settings that must not stand in the file itself, because the file is shared and committed."""

MAY_BE_MISSING: tuple[Place, ...] = (("providers", "*", "api_key"),)
"""Settings whose missing value is a warning: a provider without its key is refused when it is used, not before."""


def matches(place: Place, patterns: tuple[Place, ...]) -> bool:
    """Whether `place` is one that `patterns` name; `*` stands for any one step."""
    return any(
        len(pattern) == len(place) and all(want in ("*", step) for want, step in zip(pattern, place, strict=True))
        for pattern in patterns
    )


class References:
    """Fills in the references of one document, collecting what is wrong."""

    def __init__(self, document: Document, environ: Mapping[str, str], base: Path) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._document = document
        self._environ = environ
        self._base = base

    def filled(self, value: Json, place: Place = ()) -> Json:
        """`value` with every reference replaced by what it names."""
        if isinstance(value, dict):
            return {name: self.filled(child, (*place, name)) for name, child in value.items()}
        if isinstance(value, list):
            return [self.filled(child, (*place, index)) for index, child in enumerate(value)]
        return self._text(value, place) if isinstance(value, str) else value

    def _text(self, text: str, place: Place) -> str:
        if matches(place, FROM_FILE) and text.startswith("file:"):
            return self._file(text[5:], place)
        if text and matches(place, NEVER_LITERAL) and not _WHOLE.fullmatch(text):
            self._say(self.problems, place, "must not hold the secret itself", "write `${NAME}` or `file:PATH`")
            return ""
        return _ENV.sub(lambda found: self._variable(found, place), text)

    def _variable(self, found: re.Match[str], place: Place) -> str:
        escaped, name, default, broken = found.groups()
        if escaped:
            return escaped
        if broken:
            self._say(self.problems, place, "has a `${` that is not `${NAME}`", "write `$${` for the characters")
            return ""
        held = self._environ.get(name, "")
        if held or default is not None:
            return held or default
        self._missing(place, f"needs the environment variable `{name}`, which is not set", f"export {name}=...")
        return ""

    def _file(self, name: str, place: Place) -> str:
        path = self._base / Path(name).expanduser()
        try:
            text = path.read_bytes()[: _LARGEST_SECRET + 1].decode().strip()
        except OSError as error:
            self._missing(place, f"needs the file `{name}`, which cannot be read ({error.strerror})", "create it")
            return ""
        except UnicodeDecodeError:
            text = ""
        if not text or len(text) > _LARGEST_SECRET:
            self._missing(place, f"needs the file `{name}`, which holds no text", "write the secret into it")
            return ""
        return text

    def _missing(self, place: Place, what: str, mend: str) -> None:
        self._say(self.warnings if matches(place, MAY_BE_MISSING) else self.problems, place, what, mend)

    def _say(self, problems: list[Problem], place: Place, what: str, mend: str) -> None:
        problems.append(self._document.problem(place, what, mend))
