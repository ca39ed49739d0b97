"""The house rules, held by a test: sizes, docstrings, imports, and that lists and docs name everything there is."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.audit.event import Tag

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("approvals", "console", "gateway", "governance", "mcp_proxy", "pipeline", "sessions", "wicket")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ALL = (
    SOURCES
    + sorted((ROOT / "tests").rglob("*.py"))
    + sorted((ROOT / "bench").rglob("*.py"))
    + sorted((ROOT / "demo").rglob("*.py"))
    + sorted((ROOT / "docs").rglob("*.py"))
)
COMPILED = sorted(
    path
    for pattern in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "hooks"
    ]["mypyc"]["include"]
    for path in ROOT.glob(pattern.removeprefix("/"))
)
MAX_FILE = 400
MAX_FUNCTION = 60


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_is_small_and_so_are_its_functions(path: Path) -> None:
    text = path.read_text()
    too_long = [
        f"{function.name} has {length} lines"
        for function in functions(ast.parse(text))
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION
    ]
    assert text.count("\n") <= MAX_FILE
    assert too_long == []


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring) > 15


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_happens_at_import(path: Path) -> None:
    """Module level holds definitions, constants and imports; no loops over the world, no files, no servers."""
    allowed = (
        ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign,
    )  # fmt: skip
    odd = [
        f"line {node.lineno}"
        for node in ast.parse(path.read_text()).body
        if not isinstance(node, allowed)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.If) and (path.name == "__main__.py" or ast.unparse(node.test) == "TYPE_CHECKING"))
    ]
    assert odd == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_has_a_noun_for_a_name(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "manager", "common", "misc"}
    assert not path.stem.startswith("base_")


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_only_stores_speak_sql(path: Path) -> None:
    allowed = (
        path.name == "store.py"
        or path.is_relative_to(ROOT / "governance/store")
        or path.is_relative_to(ROOT / "governance/audit")
    )
    imported = {
        (node.module or "").partition(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert allowed or not imported & {"sqlmodel", "sqlalchemy", "sqlite3", "psycopg"}


NETWORK = (
    "gateway/upstream.py",
    "mcp_proxy/transports/",
    "mcp_proxy/servers.py",
    "mcp_proxy/credentials/",
    "approvals/webhook",
    "governance/identity/",
)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_only_named_files_call_out(path: Path) -> None:
    text = path.read_text()
    calls_out = any(
        f"import {client}" in text or f"from {client}" in text for client in ("aiohttp", "httpx", "requests")
    )
    assert not calls_out or name(path).startswith(NETWORK) or name(path).startswith("wicket/")


@pytest.mark.parametrize("path", COMPILED, ids=name)
def test_what_is_compiled_never_waits(path: Path) -> None:
    """Compiled coroutines crash when they are cancelled (python/mypy#12867); those of a protocol never run."""
    tree = ast.parse(path.read_text())
    protocols = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        if any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    ]
    harmless = {method for protocol in protocols for method in protocol.body}
    waiting = [one.name for one in functions(tree) if isinstance(one, ast.AsyncFunctionDef) and one not in harmless]
    assert waiting == []


def test_every_pattern_of_compiled_files_finds_some() -> None:
    assert len(COMPILED) > 30


@pytest.mark.parametrize("tag", list(Tag))
def test_every_audit_tag_is_explained(tag: Tag) -> None:
    assert f"`{tag.value}`" in (ROOT / "docs/audit.md").read_text()


def test_no_path_of_a_developers_machine_is_in_the_repository() -> None:
    needles = ("/" + "work/", "/" + "root/")
    found = [
        name(path)
        for path in [*ALL, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]
        if path.exists() and any(needle in path.read_text() for needle in needles)
    ]
    assert found == []
