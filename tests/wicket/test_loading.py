"""What a process does not need it does not load: each costs megabytes and a part of a second at every start."""

import subprocess
import sys

UNNEEDED = (
    "aiohttp", "alembic", "console.app", "gateway", "httpx", "jinja2", "jwt", "mcp", "mcp_proxy.app",
    "mcp_proxy.credentials", "mcp_proxy.servers", "psycopg", "rich", "tiktoken", "tomlkit", "wicket.serve",
)  # fmt: skip
"""HTTP clients and fronts, sign-in, the driver of the other database, drawing."""
PROGRAM = f"import sys, wicket.commands.alone; print(*sorted(set(sys.modules) & set({UNNEEDED!r})))"


def test_a_wrapper_that_serves_by_itself_loads_nothing_of_http_sign_in_and_servers() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"


SERVING = "import sys, wicket.mcp_process, wicket.stdio_configured; print('mcp' in sys.modules)"


def test_no_process_loads_the_whole_sdk_only_to_relay() -> None:
    done = subprocess.run([sys.executable, "-c", SERVING], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
