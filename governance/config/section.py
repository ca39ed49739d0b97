"""What every part of `wicket.yaml` has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file. An unknown key is an error: a mistyped setting must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
