"""The shape of `wicket.yaml`.

Models only: how the file is found, read, expanded and explained is `governance/config/load.py`. Every field has a
description, because `docs/config.md` is made from them.
"""

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictStr

from governance.config.authorization import OAuth, UpstreamAuth
from governance.config.models_channels import Channel
from governance.config.oidc import Oidc
from governance.config.section import Section
from governance.labels import LABEL, MOST_LABELS


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


FindingAction = Literal["log", "redact", "hold", "deny"]
Labels: TypeAlias = Annotated[
    tuple[Annotated[StrictStr, Field(pattern=LABEL)], ...], BeforeValidator(_as_list), Field(max_length=MOST_LABELS)
]


class Listen(Section):
    """Where a proxy listens."""

    host: str = Field(default="127.0.0.1", description="Address to bind.")
    port: int = Field(ge=0, le=65535, description="Port to bind; 0 lets the system choose.")


class Limits(Section):
    """What a request may measure. Beyond it the request is refused before anything is judged."""

    body_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, description="Largest request body; larger is 413.")
    response_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Largest upstream message held in memory."
    )
    headers: int = Field(default=100, ge=10, description="Most header lines of a request.")
    header_bytes: int = Field(default=32 * 1024, ge=1024, description="Most bytes of all header lines together.")
    request_seconds: float = Field(
        default=60, gt=0, description="Longest time a request may take to arrive, its body included; longer is 408."
    )
    upstream_seconds: float = Field(default=600, gt=0, description="Longest silence of an upstream.")
    connect_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for an upstream connection. An MCP server on a pipe that says nothing of its "
        "revision for so long is asked in the older way too.",
    )


class Provider(Section):
    """An LLM provider: a host, its wire format and its key."""

    wire: Literal["openai-chat", "anthropic-messages"] = Field(description="Wire format the provider speaks.")
    base_url: str = Field(description="Base URL with its version path, for example `https://api.openai.com/v1`.")
    api_key: str = Field(
        default="",
        repr=False,
        description="The provider's key: `${ENV}` or `file:PATH`, never the key itself. Without one the provider is "
        "refused at use, unless `auth` is `none`.",
    )
    auth: Literal["bearer", "x-api-key", "none"] = Field(
        default="bearer", description="Header in which the key is sent."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="Further headers for every request; `${ENV}` and `file:PATH` are expanded.",
    )
    models: tuple[str, ...] = Field(
        default=("*",), description="Globs of the models it serves; the first provider wins."
    )


class McpServer(Section):
    """An upstream MCP server. A `command` means stdio, a `url` means HTTP."""

    type: Literal["stdio", "http", "streamable-http", "sse"] | None = Field(
        default=None, description="Transport, if not clear."
    )
    command: str = Field(default="", description="Program of a stdio server.")
    args: tuple[str, ...] = Field(default=(), description="Its arguments.")
    env: dict[str, str] = Field(
        default_factory=dict, repr=False, description="Its environment, besides PATH, HOME and the like."
    )
    cwd: str = Field(default="", description="Its working directory.")
    start: Literal["lazy", "eager"] = Field(
        default="lazy",
        description="When its process is started: when somebody needs it, or with Wicket. With `eager` one always "
        "stands ready, and is started again when it ends.",
    )
    process: Literal["own", "shared"] = Field(
        default="own",
        description="Whether each session has a process of its own (2026-07-28: each principal), or all have one "
        "together. `shared` needs a server of 2026-07-28 that may serve different people at once.",
    )
    url: str = Field(default="", description="Address of an HTTP server; `file:PATH` where a part of it is a secret.")
    headers: dict[str, str] = Field(
        default_factory=dict, repr=False, description="Headers for it; `${ENV}` and `file:PATH` are expanded."
    )
    auth: UpstreamAuth = UpstreamAuth()
    tools: tuple[str, ...] = Field(default=(), description="Tool names known at load, so that policies can be checked.")
    labels: Labels = Field(
        default=(),
        description="What a session is labelled with that uses a tool, resource or prompt of the server, or is asked "
        "something by it: `untrusted_content`, `personal_data`, `secret`, or labels of your own.",
    )
    tool_labels: dict[str, Labels] = Field(
        default_factory=dict,
        description="The same for calls of tools by name or glob, in place of `labels`; the most exact wins, and `[]` "
        "sets none.",
    )
    schemas: Literal["enforce", "warn", "off"] = Field(
        default="enforce", description="What happens to a call or result that does not fit the tool's own schema."
    )
    pins: Literal["trust-first-use", "manifest", "off"] = Field(
        default="trust-first-use",
        description="What is trusted of what the server says of itself: what it said first, or only what a person or "
        "`pin_manifest` approved.",
    )
    strict: bool = Field(
        default=False, description="Refuse arguments that a tool's schema does not name, where it says nothing of them."
    )


class Identity(Section):
    """Who may come in."""

    anonymous: bool = Field(
        default=False, description="Let requests without a key in as principal `local`. Only on a loopback address."
    )
    header_user: str = Field(default="", description="Trusted header that names the person, set by a proxy in front.")
    stale_seconds: float = Field(
        default=60, gt=0, description="Keys that could not be read again for this long are no longer believed."
    )
    oauth: OAuth = OAuth()


class Secrets(Section):
    """Where the two secrets of an installation are kept, if not as generated files inside `state`."""

    master_key: str = Field(
        default="", repr=False, description="`file:PATH` or `${ENV}` with at least 32 random bytes; all keys derive."
    )
    admin_token: str = Field(
        default="", repr=False, description="`file:PATH` or `${ENV}` with the token of the first administrator."
    )


class Detect(Section):
    """What is looked for, and what happens when it is found."""

    actions: dict[str, FindingAction] = Field(
        default_factory=dict,
        description="Action by kind (`pii.ssn`) or glob (`secret.*`); the most exact wins.",
    )
    tenants: dict[str, dict[str, FindingAction]] = Field(
        default_factory=dict, description="The same for one tenant, over `actions`."
    )
    labels: dict[str, Labels] = Field(
        default_factory=dict,
        description="What a session is labelled with when a kind (`pii.email`) or glob (`pii.*`) is found in a result "
        "that it is given, over the built-in ones; the most exact wins, and `[]` sets none.",
    )
    engine: Literal["auto", "hyperscan", "re"] = Field(
        default="auto", description="`auto` takes Hyperscan where it loads."
    )


class LoopTool(Section):
    """What makes two calls of a tool the same."""

    exempt: bool = Field(default=False, description="Its calls form no loop, whatever they are; the rate counts them.")
    key: tuple[str, ...] = Field(
        default=(), description="Only these arguments count: names, or JSON pointers such as `/filter/id`. Empty: all."
    )
    ignore: tuple[str, ...] = Field(
        default=(), description="Arguments that do not count, besides `loop.volatile`: names, or JSON pointers."
    )
    ignore_results: tuple[str, ...] = Field(
        default=(), description="Names of members of its results that do not count, wherever they stand."
    )


class Loop(Section):
    """When repetition becomes a loop. Counts are per session; 0 switches a rung off."""

    repeat_observe: int = Field(
        default=5, ge=0, description="The same call with the same result this often: note it in the log."
    )
    repeat_warn: int = Field(default=10, ge=0, description="This often: tell the agent, behind the result.")
    repeat_hold: int = Field(default=20, ge=0, description="This often: ask a person.")
    repeat_deny: int = Field(default=50, ge=0, description="This often: refuse.")
    repeat_kill: int = Field(default=100, ge=0, description="This often: kill the session.")
    cycle_observe: int = Field(
        default=3, ge=0, description="A cycle of up to 5 rounds of calls with the same results, this often: note it."
    )
    cycle_warn: int = Field(default=5, ge=0, description="This often: tell the agent.")
    cycle_hold: int = Field(default=10, ge=0, description="This often: ask a person.")
    cycle_deny: int = Field(default=25, ge=0, description="This often: refuse.")
    cycle_kill: int = Field(default=50, ge=0, description="This often: kill the session.")
    error_observe: int = Field(
        default=3,
        ge=0,
        description="A tool failed in the same way this often in a row, whatever it was given: note it.",
    )
    error_warn: int = Field(default=6, ge=0, description="This often: tell the agent.")
    error_hold: int = Field(default=12, ge=0, description="This often: ask a person before the next call of the tool.")
    error_deny: int = Field(default=30, ge=0, description="This often: refuse the next.")
    error_kill: int = Field(default=60, ge=0, description="This often: kill the session at the next.")
    text_observe: int = Field(
        default=20, ge=0, description="A model says the same 40 or more characters this often at a stretch: note it."
    )
    text_deny: int = Field(default=200, ge=0, description="This often: cut its answer off.")
    text_kill: int = Field(default=0, ge=0, description="This often: cut it off and kill the session.")
    rate_per_minute: int = Field(default=600, ge=0, description="More calls a minute than this: refuse.")
    window_seconds: float = Field(default=3600, gt=0, description="How long calls are remembered.")
    volatile: tuple[str, ...] = Field(
        default=(
            "request_id", "requestId", "correlation_id", "correlationId", "idempotency_key", "idempotencyKey",
            "trace_id", "traceId", "nonce",
        ),
        description="Arguments that never tell two calls apart: names at the top of the arguments.",
    )  # fmt: skip
    tools: dict[str, LoopTool] = Field(
        default_factory=dict,
        description="Exceptions by `SERVER/TOOL`, or a glob of it; a whole name wins over globs, of globs the first.",
    )


class Budget(Section):
    """A ceiling on what may be used. Each session, key, tenant or team has a counter of its own."""

    scope: Literal["session", "key", "tenant", "team"] = Field(description="Whose use is counted together.")
    per: Literal["session", "day", "week", "month"] = Field(
        default="session", description="When counting begins anew; days, weeks (Monday) and months are in UTC."
    )
    usd: Decimal | None = Field(default=None, gt=0, description="Most money, in US dollars.")
    tokens: int | None = Field(default=None, gt=0, description="Most tokens, in and out.")
    calls: int | None = Field(default=None, gt=0, description="Most model and tool calls.")


class Price(Section):
    """What a model costs, in US dollars per million tokens."""

    input: Decimal = Field(ge=0, description="Tokens that go in.")
    output: Decimal = Field(ge=0, description="Tokens that come out.")
    cache_read: Decimal | None = Field(default=None, ge=0, description="Tokens read from a cache; default: `input`.")
    cache_write: Decimal | None = Field(default=None, ge=0, description="Tokens written to it; default: `input`.")


class Webhook(Section):
    """Where to say that a ticket waits or was decided."""

    url: str = Field(description="HTTPS address (HTTP only where `allow_private` names the host).")
    secret: str = Field(repr=False, description="Signing secret: `${ENV}` or `file:PATH` with a `whsec_...` value.")
    events: tuple[str, ...] = Field(default=("approval.*",), description="Globs of event types to send.")
    allow_private: tuple[str, ...] = Field(default=(), description="Host names that may resolve to private addresses.")


_SLACK_SECONDS = 60
"""What clients keep of a held call outlives its ticket by this."""


class Approvals(Section):
    """How a person is asked."""

    timeout_seconds: float = Field(default=300, gt=0, description="A ticket nobody decided is denied after this long.")
    wait_seconds: float = Field(
        default=45,
        ge=0,
        le=210,
        description="How long a call is held before it is told `pending`; MCP clients of 2026-07-28 come back up to "
        "ten times after at most 45 seconds each.",
    )
    base_url: str = Field(
        default="", description="Address of the console as people reach it; default: the gateway's own."
    )
    most_pending: int = Field(
        default=50, ge=1, le=10_000, description="Calls of one key that may wait for a person; more are refused."
    )
    open_pages: bool = Field(
        default=True,
        description="Ask MCP clients of 2026-07-28 that declare `elicitation.url` to open the page of a held call. Off "
        "for clients that declare it and cannot; their calls wait as those of other clients do.",
    )
    tasks: bool = Field(
        default=True,
        description="Give MCP clients of 2026-07-28 that declare the tasks extension a task for a held call, and say "
        "in `server/discover` that they may be given one; and those of 2025-11-25 whose call asks a server for one.",
    )
    in_band: tuple[str, ...] = Field(
        default=(),
        description="Globs of rules whose held calls the person at an MCP client may decide in a form of that client; "
        "none unless given, because whoever writes the client can answer for the person.",
    )
    url_errors: bool = Field(
        default=False,
        description="Tell MCP clients of 2025-11-25 that declare `elicitation.url` by the error `-32042` that a page "
        "is to be opened, instead of holding the call. Only for clients known to show it.",
    )
    webhooks: tuple[Webhook, ...] = ()
    channels: dict[str, Channel] = Field(
        default_factory=dict, description="Chats and mailboxes where people are told, by name."
    )

    @property
    def whole_seconds(self) -> float:
        """From a question to the last use of its approval. Waiting and use both have the ticket's whole time."""
        return 2 * self.timeout_seconds + _SLACK_SECONDS


class Audit(Section):
    """What the log keeps."""

    content: Literal["digest", "masked"] = Field(
        default="digest", description="Keep a digest only, or the masked text too."
    )


class Replay(Section):
    """What is kept of exchanges beside the log, so that a changed policy can be tried on real traffic."""

    keep: Literal["nothing", "facts", "arguments"] = Field(
        default="nothing",
        description="`facts`: what rules may ask besides content (labels, counts, kinds of findings, annotations); "
        "`arguments`: the masked arguments of tool calls too. See docs/policy.md.",
    )
    days: int = Field(default=7, ge=1, le=90, description="Days after which it is deleted.")
    most: int = Field(
        default=200_000, ge=100, le=10_000_000, description="Most judgements that are kept; the oldest go first."
    )


class Metrics(Section):
    """Who may read `/metrics`, besides an administrator with their token."""

    token: str = Field(
        default="",
        repr=False,
        description="A token that opens `/metrics` and nothing else: `${ENV}` or `file:PATH`, 32 characters or more.",
    )
    local: bool = Field(
        default=False,
        description="Let whoever asks from this machine in without a token. Not where a proxy on this machine passes "
        "`/metrics` on: it may look like the machine itself.",
    )


class Console(Listen):
    """The console: how people sign in, and where `wicket console` serves it by itself."""

    port: int = Field(default=8090, ge=0, le=65535, description="Port of `wicket console`; 0 lets the system choose.")
    session_hours: float = Field(
        default=12, gt=0, le=168, description="How long a person stays signed in at most, whatever they do."
    )
    oidc: Oidc = Oidc()


class Config(Section):
    """The whole of `wicket.yaml`."""

    gateway: Listen = Field(Listen(port=8080), description="The LLM proxy.")
    mcp: Listen = Field(Listen(port=8070), description="The MCP proxy.")
    hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "[::1]"), description="Host names that requests may carry, without port."
    )
    state: str = Field(default=".wicket", description="Directory (mode 0700) of secrets and, by default, the database.")
    database: str = Field(
        default="",
        repr=False,
        description="`sqlite:///PATH` or `postgresql://...`, or `file:PATH` with it; default: SQLite inside `state`.",
    )
    policies: tuple[str, ...] = Field(default=("policy.yaml",), description="Policy files, relative to this one.")
    providers: dict[str, Provider] = Field(default_factory=dict)
    mcp_servers: Annotated[dict[str, McpServer], Field(alias="mcpServers")] = Field(
        default_factory=dict, description="Upstream MCP servers; `servers` is accepted too."
    )
    pin_manifest: str = Field(default="", description="File of trusted digests, written by `wicket pins export`.")
    identity: Identity = Identity()
    secrets: Secrets = Secrets()
    detect: Detect = Detect()
    loop: Loop = Loop()
    budgets: tuple[Budget, ...] = Field(default=(), description="Ceilings; none unless given.")
    prices: dict[str, Price] = Field(
        default_factory=dict, description="Prices by model, over the built-in ones; needed for models without one."
    )
    approvals: Approvals = Approvals()
    audit: Audit = Audit()
    replay: Replay = Replay()
    metrics: Metrics = Metrics()
    console: Console = Console()
    limits: Limits = Limits()
