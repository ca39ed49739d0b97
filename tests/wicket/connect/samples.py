"""A configuration of each agent as people write them: comments, odd indentation, trailing commas, other line ends.

The secrets in them are made up, and say so: no output may hold any of `SECRETS`.
"""

from dataclasses import dataclass
from pathlib import Path

SECRETS = ("hush-env-1", "hush-header-22", "hush-query-333", "hush-arg-4444", "hush-elsewhere-55555", "hushuser:hushpw")


@dataclass(frozen=True)
class Sample:
    """A file, where it stands below the home directory, and what becomes of each server."""

    agent: str
    place: str
    text: str
    servers: dict[str, str]

    def write(self, home: Path) -> Path:
        file = home / self.place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.text.encode())
        return file


CLAUDE_CODE = Sample(
    "claude-code",
    ".claude.json",
    """{
  "numStartups": 41,
  "oauthAccount": {"accessToken": "hush-elsewhere-55555"},
  "mcpServers": {
    "files": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/share"],
      "env": {}
    },
    "tracker": {
      "type": "sse",
      "url": "https://mcp.example.org/sse",
      "headers": {"Authorization": "Bearer hush-header-22", "X-Team": "${HOME}", "X-Region": "${REGION:-eu}"}
    },
    "signs-in": {"type": "http", "url": "https://mcp.example.org/mcp", "oauth": {"clientId": "c"}}
  },
  "projects": {
    "/home/me/proj.ect": {
      "allowedTools": [],
      "mcpServers": {"files": {"command": "uvx", "args": ["files", "--api-key", "hush-arg-4444"]}}
    }
  }
}""",
    {
        "mcpServers.files": "wrapped",
        "mcpServers.tracker": "moved",
        "mcpServers.signs-in": "left",
        "projects./home/me/proj.ect.mcpServers.files": "wrapped",
    },
)
CLAUDE_DESKTOP = Sample(
    "claude-desktop",
    ".config/Claude/claude_desktop_config.json",
    '{\r\n\t"globalShortcut": "Ctrl+Space",\r\n\t"mcpServers": {\r\n\t\t"files": {\r\n\t\t\t"command": "npx",\r\n'
    '\t\t\t"args": [\r\n\t\t\t\t"-y",\r\n\t\t\t\t"some-server"\r\n\t\t\t],\r\n'
    '\t\t\t"env": {"API_KEY": "hush-env-1"}\r\n\t\t},\r\n\t\t"bare": { "command": "uvx" }\r\n\t}\r\n}\r\n',
    {"mcpServers.files": "wrapped", "mcpServers.bare": "wrapped"},
)
CURSOR = Sample(
    "cursor",
    ".cursor/mcp.json",
    """{
   // my servers
   "mcpServers": {
        "files": { "command": "npx",   "args": ["-y", "x"] , /* odd, but mine */ },
     "remote": {"url": "https://api.example.org/mcp?key=hush-query-333", "headers": {
         "X-Plain": "hush-header-22", "X-Env": "Bearer ${env:HOME}" },
       // after
     },
     "with-folder": {"url": "https://example.org/mcp", "headers": {"X-Dir": "${workspaceFolder}"}},
     "empty env": {"command": "a", "env": { /* nothing */ }},
   },
}
""",
    {
        "mcpServers.files": "wrapped",
        "mcpServers.remote": "moved",
        "mcpServers.with-folder": "left",
        "mcpServers.empty env": "wrapped",
    },
)
VSCODE = Sample(
    "vscode",
    ".config/Code/User/mcp.json",
    """\ufeff// Place your servers here
{
\t"inputs": [ { "type": "promptString", "id": "token", "password": true, } ],
\t"servers": {
\t\t"files": {
\t\t\t"type": "stdio", // as the schema wants
\t\t\t"command": "npx",
\t\t\t"args": [ "-y", "x", "--token", "hush-arg-4444" ],
\t\t\t"envFile": "${workspaceFolder}/.env",
\t\t},
\t\t"asks": { "type": "http", "url": "https://example.org/mcp", "headers": { "Authorization": "${input:token}" } },
\t\t"github": { "type": "http", "url": "https://example.org/mcp/", },
\t},
}
""",
    {"servers.files": "wrapped", "servers.asks": "left", "servers.github": "moved"},
)
CODEX = Sample(
    "codex",
    ".codex/config.toml",
    """# Codex
model = "gpt-5.5"   # the big one
notify = [ "notify-send",
  "Codex", ]

[mcp_servers.files]
command = "npx"      # keep
args = ["-y", "x",
    # the folder
    "/srv/share",
]

[mcp_servers.files.env]
API_KEY = 'hush-env-1'   # not yours

[mcp_servers."with.dot"]
command = "uvx"

[mcp_servers."with.dot".tools.read]
enabled = true

[mcp_servers.remote]
url = "https://api.example.org/mcp"
bearer_token_env_var = "HOME"
http_headers = { "X-Key" = "hush-header-22" }
env_http_headers = { "X-Shell" = "PATH" }
tool_timeout_sec = 90.0

[profiles.deep]
model_reasoning_effort = "high"
""".replace("\n", "\r\n"),
    {"mcp_servers.files": "wrapped", "mcp_servers.with.dot": "wrapped", "mcp_servers.remote": "moved"},
)
GEMINI = Sample(
    "gemini-cli",
    ".gemini/settings.json",
    """{
  "security": {"auth": {"selectedType": "gemini-api-key"}},
  /* servers */
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "x"], "cwd": "/srv", "timeout": 30000, "trust": false},
    "stream": {"httpUrl": "https://example.org/mcp", "headers": {"X-Key": "hush-header-22"}},
    "old": {"url": "https://example.org/sse", "headers": {"Authorization": "Bearer $HOME"}}
  }
}
""",
    {"mcpServers.files": "wrapped", "mcpServers.stream": "moved", "mcpServers.old": "moved"},
)
WINDSURF = Sample(
    "windsurf",
    ".codeium/windsurf/mcp_config.json",
    '{"mcpServers":{"files":{"command":"npx","args":["-y","x","postgres://hushuser:hushpw@db/x"],"disabled":false,'
    '"env":{"A":"hush-env-1"}},"remote":{"serverUrl":"https://example.org/mcp","headers":{"K":"${env:HOME}"}},'
    '"odd":{}}}',
    {"mcpServers.files": "wrapped", "mcpServers.remote": "moved", "mcpServers.odd": "left"},
)
OPENCODE = Sample(
    "opencode",
    ".config/opencode/opencode.jsonc",
    """{
    "$schema": "https://opencode.ai/config.json",
    "provider": {"openai": {"options": {"apiKey": "hush-elsewhere-55555"}}},
    "mcp": {
        // version 1
        "files": {"type": "local", "command": ["npx", "-y", "x"], "environment": {"A": "hush-env-1"}, "enabled": true},
        "remote": {
            "type": "remote",
            "url": "https://example.org/mcp",
            "headers": {"Authorization": "Bearer {env:HOME}"}, "oauth": false,
        },
        // version 2
        "servers": {
            "second": {"type": "local", "command": ["uvx", "y"]}, // last
        },
    },
}
""",
    {"mcp.files": "wrapped", "mcp.remote": "moved", "mcp.servers.second": "wrapped"},
)

SAMPLES = (CLAUDE_CODE, CLAUDE_DESKTOP, CURSOR, VSCODE, CODEX, GEMINI, WINDSURF, OPENCODE)
