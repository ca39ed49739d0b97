"""The agents that `wicket connect` knows: the visible list. Each is one file here."""

from wicket.connect.agent import Agent
from wicket.connect.agents import (
    claude_code,
    claude_desktop,
    codex,
    cursor,
    gemini_cli,
    opencode,
    vscode,
    windsurf,
)

AGENTS: tuple[Agent, ...] = (
    claude_code.AGENT,
    claude_desktop.AGENT,
    cursor.AGENT,
    vscode.AGENT,
    codex.AGENT,
    gemini_cli.AGENT,
    windsurf.AGENT,
    opencode.AGENT,
)
