"""One task of ours: a held call whose client comes back by id, and what the client is told of it.

State only. Who makes the call is `runner.py`, where tasks are kept `book.py`, what their clients ask `counter.py`.
Source: the extension's specification (modelcontextprotocol/ext-tasks, `specification/2026-07-28/tasks.md`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import anyio

from governance import jsontree
from governance.clock import rfc3339
from governance.exchange import Principal, SessionRef
from governance.jsontree import Json, JsonObject
from mcp_proxy.calls import Call
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Link
from mcp_proxy.message import Message, result_of
from mcp_proxy.sdk import CLIENT_CAPABILITIES_META_KEY

EXTENSION = "io.modelcontextprotocol/tasks"
METHODS = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
"""What a client may ask of a task, in the extension of 2026-07-28."""
OF_EITHER = METHODS | {"tasks/result"}
"""And in 2025-11-25."""
POLL_SECONDS = 5.0
"""How often clients are asked to poll."""
GONE_AFTER_POLLS = 12
"""A client that missed so many polls in a row is gone: a minute, the time after which SDKs give a request up."""
TASK_ID = "taskId"
MOST_TOLD = 1000
"""Characters of an error that stand in the status of a task that has failed."""


class Status(StrEnum):
    """Where a task stands, in the words of the extension."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


@dataclass(eq=False)
class Task:
    """A held call that its client asks for by id."""

    id: str
    """As the client knows it: sealed (`mcp_proxy.sealing`)."""
    ticket: str
    """What a person was asked about last; to rules and to the log it is the task's name."""
    link: str
    message: Message
    """The call, as it is judged and made."""
    caller: Caller
    run: SessionRef
    headers: Mapping[str, str]
    created_at: datetime
    seconds: float
    """How long it is kept after it was made, and after it ended."""
    polled_at: float
    """When its client was last heard of (`Clock.monotonic`)."""
    asks: JsonObject = field(default_factory=dict[str, Json])
    """What the client is asked, by key; answered by `tasks/update`."""
    asked_about: str = ""
    """The ticket that our own question among them is about."""
    waits: dict[str, str] = field(default_factory=dict[str, str])
    """Tickets that are waited for now, and their pages."""
    answers: JsonObject = field(default_factory=dict[str, Json])
    """The client's answers to what the server asked."""
    answer: Message | None = None
    """What the call was answered with, judged and recorded."""
    theirs: str = ""
    """Id of the server's own task, where the server made one of the call: it answers from then on."""
    detached: bool = False
    """Whether its call is made although its client is gone (`run_detached` of the rules that hold it)."""
    unknown: bool = False
    """Whether no client knows of it: the call of a client that went while it was held."""
    via: Link | None = None
    """Where its call goes, if it belongs to a session; else a link is opened for it."""
    cancelled: bool = False
    fetched: Message | None = None
    """The request by which its client was given the answer."""
    call: Call | None = None
    """The call while it is held or made."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Holds the making of the call."""
    stirred: anyio.Event = field(default_factory=anyio.Event)
    """Set whenever its client is heard of."""
    updated_at: datetime | None = None

    @property
    def status(self) -> Status:
        """Where it stands."""
        if self.cancelled:
            return Status.CANCELLED
        if self.answer is not None:
            return Status.FAILED if "error" in self.answer.value else Status.COMPLETED
        return Status.INPUT_REQUIRED if self.asks else Status.WORKING

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.status in ENDED

    @property
    def sent(self) -> bool:
        """Whether the server was asked already."""
        return self.call is not None and self.call.sent

    @property
    def size(self) -> int:
        """Bytes that it keeps."""
        return len(self.message.raw) + (len(self.answer.raw) if self.answer is not None else 0)

    def heard(self, now: float) -> None:
        """Its client asked for it."""
        self.polled_at = now
        self.stirred.set()
        self.stirred = anyio.Event()

    def silent(self, now: float) -> bool:
        """Whether its client is gone: it missed too many polls."""
        return now - self.polled_at > GONE_AFTER_POLLS * POLL_SECONDS

    def is_listed(self, server: str, principal: Principal) -> bool:
        """Whether a client of 2025-11-25 that lists its tasks at a server sees it."""
        mine = self.caller.principal
        whose = (mine.key_id, mine.tenant, mine.user) == (principal.key_id, principal.tenant, principal.user)
        return whose and not self.unknown and self.caller.server == server and self.caller.era is Era.LEGACY

    def changed(self, now: datetime) -> None:
        """Something about it is new."""
        self.updated_at = now

    def overdue(self, now: datetime) -> bool:
        """Whether it need not be kept any longer. One that is under way is kept, it ends by itself."""
        age = (now - self.created_at).total_seconds() - self._more
        return age >= (2 * self.seconds if self.sent and not self.ended else self.seconds)

    def told_legacy(self) -> JsonObject:
        """What 2025-11-25 says of it: its result is fetched by a request of its own, and a failed call is `failed`."""
        status, view = self.status, self.told()
        result = result_of(self.answer) if self.answer is not None else {}
        if not self.cancelled and result.get("isError") is True:
            status = Status.FAILED
            # The official client asks no more of a task that has failed, so it is told here why.
            said = jsontree.as_object(next(iter(jsontree.as_list(result.get("content"))), None)).get("text")
            view["statusMessage"] = jsontree.as_text(said)[:MOST_TOLD] or view["statusMessage"]
        kept = (TASK_ID, "statusMessage", "createdAt", "lastUpdatedAt")
        seconds: JsonObject = {"ttl": view["ttlMs"], "pollInterval": view["pollIntervalMs"]}
        return {**{name: view[name] for name in kept}, "status": status.value, **seconds}

    @property
    def told_apart(self) -> tuple[Status, str, tuple[str, ...]]:
        """What changes when its client should hear of it."""
        return self.status, self._message(), tuple(self.asks)

    def told(self) -> JsonObject:
        """What `tasks/get` says of it."""
        made, updated = rfc3339(self.created_at), rfc3339(self.updated_at or self.created_at)
        view: JsonObject = {
            TASK_ID: self.id,
            "status": self.status.value,
            "statusMessage": self._message(),
            "createdAt": made,
            "lastUpdatedAt": updated,
            "ttlMs": int((self.seconds + self._more) * 1000),
            "pollIntervalMs": int(POLL_SECONDS * 1000),
        }
        if self.status is Status.INPUT_REQUIRED:
            view["inputRequests"] = self.asks
        elif self.status is Status.COMPLETED and self.answer is not None:
            view["result"] = result_of(self.answer)
        elif self.status is Status.FAILED and self.answer is not None:
            view["error"] = self.answer.value["error"]
        return view

    @property
    def _more(self) -> float:
        """Seconds by which it is kept longer than it said at first: its time begins anew when it has an answer."""
        if self.updated_at is None or not (self.ended or self.theirs):
            return 0.0
        return (self.updated_at - self.created_at).total_seconds()

    def _message(self) -> str:
        if self.cancelled:
            return "the client cancelled it"
        if self.ended:
            once = " once" if self.caller.era is Era.MODERN else ""
            return f"the call was answered; the answer can be fetched{once}"
        pages = " and ".join(dict.fromkeys(self.waits.values()))
        if self.sent and not pages:
            return "the call is being made"
        return f"waiting for a person to approve this call at {pages or self.link}"


def declares_tasks(message: Message) -> bool:
    """Whether a modern client says, in this very request, that it knows tasks."""
    capabilities = jsontree.as_object(message.meta.get(CLIENT_CAPABILITIES_META_KEY))
    return isinstance(jsontree.as_object(capabilities.get("extensions")).get(EXTENSION), dict)


def renamed(message: Message, task_id: str) -> Message:
    """The request, about another id."""
    return Message.build({**message.value, "params": {**message.params, TASK_ID: task_id}})


def result_renamed(message: Message, old: str, new: str) -> Message:
    """The response, with another id of the task that it tells of."""
    result = result_of(message)
    if result.get(TASK_ID) != old:
        return message
    return replace(Message.build({**message.value, "result": {**result, TASK_ID: new}}), id=message.id)
