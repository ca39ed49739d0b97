"""The servers that agents bring into `wicket.yaml`: under which name, with their secrets in files of their own.

A literal header may be a secret, so none is ever written into `wicket.yaml`: it goes into a file with mode 0600 that
only the configuration names. So does an address with a secret in it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governance.config.load import ConfigError, Problem, inspect
from governance.jsontree import JsonObject
from wicket.connect import files, shown
from wicket.connect.plan import Upstream, usable
from wicket.connect.record import Added, Record
from wicket.connect.references import Taken, literally
from wicket.connect.upstreams import insert, remove, servers_in, without_heading

HEADERS = "headers"


@dataclass
class Registry:
    """`wicket.yaml` while it is being changed. Nothing is written before `prepare` and `commit`."""

    held: files.Held
    directory: Path
    """Where secrets go."""
    others: Sequence[Record]
    """The records of other files."""
    text: str = ""
    added: list[Added] = field(default_factory=list[Added])
    secrets: dict[Path, str] = field(default_factory=dict[Path, str])
    gone: list[Path] = field(default_factory=list[Path])
    heading: str = ""

    def __post_init__(self) -> None:
        self.text = self.text or self.held.text

    @property
    def file(self) -> str:
        """What messages call it."""
        return str(self.held.path)

    def place(self, wanted: str, agent: str, upstream: Upstream, record: Record | None) -> str:
        """Add a server, or find it there already; returns its name."""
        servers = servers_in(self.text, self.file)
        ours = {one.name: one for one in (record.servers if record else ())}
        for name in _candidates(usable(wanted), agent):
            definition, secrets = self.defined(name, upstream)
            if name not in servers:
                made = insert(self.text, self.file, name, definition)
                self.text, self.heading = made.text, self.heading or made.heading
                self.added.append(Added(name=name, text=made.added, files=tuple(map(str, secrets))))
            elif servers[name] == definition and (name in ours or all(_says(*one) for one in secrets.items())):
                known = ours.get(name) or self._of_others(name)
                self.added += [known] if known else []
            else:
                continue
            self.secrets |= secrets
            return name
        raise AssertionError(wanted)  # candidates never end

    def place_command(self, wanted: str, agent: str, definition: JsonObject) -> str:
        """Add a stdio server, or find it there already; returns its name."""
        servers = servers_in(self.text, self.file)
        for name in _candidates(usable(wanted), agent):
            if name not in servers:
                made = insert(self.text, self.file, name, definition)
                self.text, self.heading = made.text, self.heading or made.heading
                self.added.append(Added(name=name, text=made.added))
            elif servers[name] != definition:
                continue
            return name
        raise AssertionError(wanted)  # candidates never end

    def keep(self, record: Record) -> None:
        """Take out what a record brought in and what is not needed any more."""
        self.heading = self.heading or record.heading
        used = {one.name for one in self.added} | {one.name for other in self.others for one in other.servers}
        for one in record.servers:
            if one.name in used:
                continue
            shorter = remove(self.text, one.text)
            if shorter is not None:
                self.text = without_heading(shorter, self.file, record.heading)
                self.gone += map(Path, one.files)

    def defined(self, name: str, upstream: Upstream) -> tuple[JsonObject, dict[Path, str]]:
        """A server as the configuration has it, and the files with its secrets."""
        secrets: dict[Path, str] = {}

        def told(place: str, one: Taken, *, secret: bool) -> str:
            text = one.text
            if not secret:
                return literally(text) if one.literal else text
            path = self.directory / HEADERS / f"{name}.{usable(place)}"
            secrets[path] = text
            base = self.held.path.parent
            return f"file:{path.relative_to(base) if path.is_relative_to(base) else path}"

        url = upstream.url
        definition: JsonObject = {"type": upstream.type} if upstream.type else {}
        definition["url"] = told("url", url, secret=url.literal and shown.plain(url.text) != url.text)
        headers: JsonObject = {
            key: told(key, one, secret=one.literal) for key, one in upstream.headers.items() if one.text
        }
        if headers:
            definition["headers"] = headers
        return definition, secrets

    def prepare(self, environ: Mapping[str, str] | None = None) -> Path | None:
        """Write the secrets and a draft of the new text, and see that it can be used; nothing where nothing changed.

        Raises:
            ConfigError: the new configuration could not be used.
            CommandError: something cannot be written.
        """
        for path, secret in self.secrets.items():
            if not _says(path, secret):
                files.write_private(path, secret.encode())
        if self.text == self.held.text:
            return None
        draft = files.write_draft(self.held.path, self.text.encode(), self.held.mode, like=self.held.path)
        try:
            inspect(draft, os.environ if environ is None else environ)
        except ConfigError as error:
            draft.unlink()
            raise ConfigError(_named(error, draft, self.file)) from None
        return draft

    def commit(self, draft: Path | None) -> None:
        """Let the draft be the configuration, and take away the secrets that nothing names any more."""
        if draft is not None:
            files.swap(draft, self.held)
        for path in self.gone:
            path.unlink(missing_ok=True)

    def _of_others(self, name: str) -> Added | None:
        return next((one for other in self.others for one in other.servers if one.name == name), None)


def _named(error: ConfigError, draft: Path, file: str) -> Iterator[Problem]:
    for problem in error.problems:
        yield Problem(problem.file.replace(str(draft), file), problem.line, problem.key, problem.what, problem.mend)


def _candidates(name: str, agent: str) -> Iterator[str]:
    yield name
    longer = f"{name[: 60 - len(agent)]}-{agent}"
    yield longer
    number = 2
    while True:
        yield f"{longer}-{number}"
        number += 1


def _says(path: Path, secret: str) -> bool:
    try:
        return path.read_text() == secret
    except OSError:
        return False
