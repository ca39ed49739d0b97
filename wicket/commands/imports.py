"""`wicket import`: servers of a file that agents or the MCP registry understand, added to `wicket.yaml`."""

import os
from pathlib import Path

from governance.config.load import load
from governance.jsontree import Json
from wicket.command import Command, Situation, argument
from wicket.connect import files
from wicket.connect.jsonc import JSONC
from wicket.connect.notation import NotationError
from wicket.connect.record import Records
from wicket.connect.registry import Registry
from wicket.connect.shapes import Import, ShapeError, imports
from wicket.connect.shown import plain
from wicket.connect.toml import TOML
from wicket.exits import CommandError, Exit
from wicket.terminal import reveal

_AGENT = "imported"


def import_file(situation: Situation) -> Exit:
    """Add the servers of a file."""
    options = situation.options
    config_file = Path(options.config).absolute()
    config = load(config_file)
    source = Path(options.file)
    found = _imports(source)
    registry = Registry(files.read(config_file), Path(config.state) / "connect", Records(Path(config.state)).all())
    taken = [(one, _place(registry, one)) for one in found]
    added = [one.name for one in registry.added]
    needs = sorted({name for one in found for name in one.needs if not os.environ.get(name)})
    if not options.dry_run:
        # What is not set yet is told below; the rest of the new configuration must be sound.
        registry.commit(registry.prepare({**dict.fromkeys(needs, "set-later"), **os.environ}))
    value: dict[str, Json] = {
        "file": str(source),
        "dry_run": options.dry_run,
        "servers": [{"name": name, "added": name in added} for _, name in taken],
        "needs": list(needs),
    }
    verb = "would be added" if options.dry_run else "added"
    lines = [f"{name}: {verb if name in added else 'is there already'}{_what(one)}" for one, name in taken]
    lines += [f"set `{name}` where Wicket runs: the configuration names it" for name in needs]
    situation.terminal.show(value, map(reveal, lines))
    return Exit.DONE


def _imports(source: Path) -> list[Import]:
    held = files.read(source)
    notation = TOML if source.suffix == ".toml" else JSONC
    try:
        return imports(notation.read(held.text))
    except (NotationError, ShapeError) as error:
        raise CommandError(Exit.CONFIG, f"`{source}` {error}: mend it; nothing was added") from None


def _place(registry: Registry, one: Import) -> str:
    if one.upstream is not None:
        return registry.place(one.name, _AGENT, one.upstream, None)
    return registry.place_command(one.name, _AGENT, one.command or {})


def _what(one: Import) -> str:
    """The whole command: whoever imports a file should see what it will run."""
    if one.command is None:
        return f" (at {plain(one.upstream.url.text)})" if one.upstream else ""
    args = one.command.get("args", [])
    words = [str(one.command["command"]), *(map(str, args) if isinstance(args, list) else ())]
    return f" (runs {plain(' '.join(words))})"


COMMANDS = (
    Command(
        "import",
        "add the servers of a file to wicket.yaml: `mcpServers`, `servers`, or a `server.json` of the MCP registry",
        import_file,
        (
            argument("file", metavar="FILE", help="JSON with comments, or TOML"),
            argument("--dry-run", action="store_true", help="say what would be added, and write nothing"),
        ),
        {
            Exit.CONFIG: "the file or the configuration cannot be used; nothing was added",
            Exit.ABSENT: "there is no such file",
            Exit.UNAVAILABLE: "the configuration cannot be written",
        },
    ),
)
