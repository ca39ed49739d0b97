"""Which of our files can start a program at all, held by reading them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_house import ROOT, SOURCES, name

STARTING = frozenset(
    {
        "subprocess_exec", "subprocess_shell", "create_subprocess_exec", "create_subprocess_shell", "open_process",
        "run_process", "Popen", "check_call", "check_output", "system", "popen", "fork", "forkpty", "posix_spawn",
        "posix_spawnp", "execv", "execve", "execvp", "execvpe", "spawnv", "spawnve", "ProcessPoolExecutor",
    }
)  # fmt: skip


def called(path: Path) -> Iterator[str]:
    """The last names of everything that a file calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id


def test_four_files_start_programs() -> None:
    """One starts the servers, one the server that a wrapper was started for; the other two only Wicket itself."""
    found = {name(path) for path in SOURCES if STARTING & set(called(path))}
    assert found == {
        "mcp_proxy/handover/sender.py",
        "mcp_proxy/transports/stdio_child.py",
        "wicket/supervisor.py",
        "wicket/up.py",
    }


def test_what_a_server_runs_is_made_from_its_entry_or_from_our_own_command_line_and_nowhere_else() -> None:
    makers = {
        name(path): [ast.unparse(argument) for argument in node.args]
        for path in SOURCES
        if path.is_relative_to(ROOT / "mcp_proxy")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Command"
    }
    assert makers == {
        "mcp_proxy/servers.py": ["entry.command", "entry.args", "entry.env", "entry.cwd"],
        "mcp_proxy/wrapper.py": ["program", "tuple(args)"],
    }
