"""What is looked through in stretches reads, and is found, as if it had been looked through whole."""

import random  # noqa: TID251 - seeded, so that a failure comes again

import pytest

from governance.detect.detector import Detector, Hit
from governance.detect.stretches import STRETCH, between_escapes, overlapping
from governance.detect.views import plain, plain_text
from tests.governance.detect.samples import SECRETS, drawn

ESCAPES = ["%41", "&#65;", "&#0000065;", "&#x000041;", "&lt;", "&CounterClockwiseContourIntegral;", "\\u0041", "\\x41"]
MORE = ["\\/", "\\n", "\\na", "\\n\\n\\na", "\\", "&", "%", "\x01", "\u200b", "\uff21\uff22", " ", "a", "\n", "41;"]
ALL = [*ESCAPES, *MORE]


def read_whole(text: str) -> str:
    """The reading of a text so short that it is read at once, again and again."""
    return plain_text(text)


@pytest.mark.parametrize("escape", [*ALL, "\\n" * 40, "%41" * 40, "\\na" * 40], ids=ascii)
def test_no_escape_is_cut_through(escape: str) -> None:
    for shift in range(30):
        before = "x" * (STRETCH - shift) + " "
        text = before + escape + "x" * (2 * STRETCH)
        assert plain_text(text) == before + read_whole(escape + "x") + "x" * (2 * STRETCH - 1)


def test_any_mixture_of_escapes_reads_the_same() -> None:
    draw = random.Random(20261128)
    for _ in range(20):
        text = "".join(draw.choice(ALL) for _ in range(70_000))
        view = plain(text)
        assert view is not None
        assert view.text.replace("\x00", " ") == plain_text(text).replace("\x00", " ")
        stretches = list(between_escapes(text))
        assert "".join(text[start:end] for start, end in stretches) == text


def test_stretches_that_overlap_cover_every_place_where_a_match_may_begin() -> None:
    for length in (0, 1, STRETCH, STRETCH + 1, 3 * STRETCH):
        stretches = list(overlapping(length, 100))
        assert [start for start, _, _ in stretches] == list(range(0, max(length, 1), STRETCH))
        assert all(stop == min(length, start + STRETCH + 100) for start, _, stop in stretches)


def places(hits: list[Hit]) -> list[tuple[str, int, int]]:
    return [(hit.rule.id, hit.start, hit.end) for hit in hits]


@pytest.mark.parametrize("kind", ["secret.github_token", "secret.private_key", "secret.jwt", "secret.gitlab_token"])
@pytest.mark.parametrize("inside", [0, 1, 20])
def test_what_stands_across_two_stretches_is_found(
    detector: Detector, slow_detector: Detector, kind: str, inside: int
) -> None:
    secret = SECRETS[kind]
    start = STRETCH - inside
    text = " " * start + secret + " " * STRETCH + drawn(8) + " 123-45-6789"
    found = places(detector.hits(text))
    assert (kind, start, start + len(secret)) in found
    assert found[-1] == ("pii.ssn", len(text) - 11, len(text))
    assert found == places(slow_detector.hits(text))


def test_what_stands_in_a_dense_text_is_found_in_every_stretch(detector: Detector) -> None:
    """Ends that lie close together make one window of the whole text."""
    line = "4111 1111 1111 1112 and 123-45-6789. "
    text = line * (3 * STRETCH // len(line))
    assert len(detector.hits(text)) == text.count("123-45-6789")
