"""What an operation of the API is: how it is asked for, what it asks for, what it answers, and what does it.

To add one, write an `Operation` into the list of its file (`OPERATIONS`); a new file is named in `app.py`. It is
served, held to its permission, described in `openapi.json` and `docs/api.md` and tested with every role from then on.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Annotated, Any, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from console.access import Visitor
from console.frame import Frame
from console.roles import Permission
from governance.clock import rfc3339

MOST = 200


class Query(BaseModel):
    """Parameters of a query. What is not one of them is refused: a mistyped filter must not find everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Time: TypeAlias = AwareDatetime | None


def moment(time: Time) -> str:
    """A time as tables have it; empty where none was given."""
    return "" if time is None else rfc3339(time.astimezone(UTC))


class Paged(Query):
    """What all lists take."""

    limit: Annotated[int, Field(ge=1, le=MOST, description="Most items of a page.")] = 50
    cursor: Annotated[str, Field(max_length=512, description="`next` of the page before.")] = ""


@dataclass(frozen=True)
class Call:
    """One request that was let in and understood."""

    frame: Frame
    visitor: Visitor
    path: Mapping[str, str]
    query: Any
    """An instance of the operation's `query`."""
    body: Any
    """An instance of its `body`, or None."""


Handle: TypeAlias = Callable[[Call], Awaitable[BaseModel | Response]]


@dataclass(frozen=True)
class Operation:
    """One operation."""

    id: str
    """Its name for programs that are made from the description."""
    method: str
    path: str
    """Below `/api/v1`."""
    permission: Permission
    summary: str
    answer: type[BaseModel]
    handle: Handle
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])
    """What else it may answer, besides what every operation may."""
    media_type: str = "application/json"

    @property
    def tag(self) -> str:
        """What it is about: the first step of its path."""
        return self.path.split("/")[1]
