"""The log probabilities of a chat chunk (API reference, "Chat completion chunk"): they repeat its text token by token.

Only what repeats the text beside it passes: that text is judged, and replaced where it must be.
"""

from dataclasses import replace

from governance import jsontree
from governance.jsontree import Json, JsonObject, as_list, as_object, as_text
from governance.sse import SseEvent, encode

_OF_TOKEN = frozenset(("token", "logprob", "bytes", "top_logprobs"))


def repeating(event: SseEvent, chunk: JsonObject) -> tuple[SseEvent, Json]:
    """The chunk without probabilities that say anything else than the text beside them, which is judged."""
    choices = as_list(chunk.get("choices"))
    kept: list[Json] = [one if _repeats(as_object(one)) else without_probabilities(one) for one in choices]
    if all(one is other for one, other in zip(kept, choices, strict=True)):
        return event, chunk
    value: JsonObject = {**chunk, "choices": kept}
    jsontree.strings(value)  # what is written anew must be what every parser reads the same way
    return replace(event, data=None, raw=encode(replace(event, data=jsontree.dump(value)))), value


def _repeats(choice: JsonObject) -> bool:
    """Whether the probabilities of a choice spell its text, and hold nothing that is not known."""
    told, delta = choice.get("logprobs"), as_object(choice.get("delta"))
    if not isinstance(told, dict) or not told.keys() <= {"content", "refusal"}:
        return told is None
    for name, listed in told.items():
        tokens = [as_object(one) for one in as_list(listed)]
        if "".join(as_text(one.get("token")) for one in tokens) != as_text(delta.get(name)):
            return False
        others = [as_object(one) for token in tokens for one in as_list(token.get("top_logprobs"))]
        if not all(one.keys() <= _OF_TOKEN and _is_numeric(one) for one in (*tokens, *others)):
            return False
    return True


def alternatives(told: Json) -> list[Json]:
    """The tokens that could have stood in the place of those that do."""
    listed = [one for name in ("content", "refusal") for one in as_list(as_object(told).get(name))]
    others = [other for one in listed for other in as_list(as_object(one).get("top_logprobs"))]
    return [as_object(one).get("token") for one in others]


def _is_numeric(token: JsonObject) -> bool:
    """Whether a token says nothing but itself and numbers."""
    numbers = [token.get("logprob"), *as_list(token.get("bytes"))]
    return isinstance(token.get("bytes"), list | None) and all(isinstance(one, int | float | None) for one in numbers)


def without_probabilities(choice: Json) -> Json:
    """A choice without what would repeat its text."""
    if isinstance(choice, dict) and choice.get("logprobs") is not None:
        return {**choice, "logprobs": None}
    return choice
