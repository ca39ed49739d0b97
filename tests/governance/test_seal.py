"""A sealed secret opens with its own key, for its own owner, unchanged; and in no other case."""

import pytest

from governance.seal import Seal, SealError

SECRET = b"refresh-token-canary"
KEY = bytes(range(32))


def test_a_secret_opens_again():
    assert Seal(KEY).open(Seal(KEY).close(SECRET, "files"), "files") == SECRET


def test_a_sealed_secret_shows_nothing_and_never_looks_the_same():
    one, two = (Seal(KEY).close(SECRET, "files") for _ in range(2))
    assert one != two
    assert "canary" not in one


@pytest.mark.parametrize(
    "sealed", ["", "v1.", "v1.AAAA", "v1.%%%", "v2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u00e4"]
)
def test_what_was_never_sealed_does_not_open(sealed: str):
    with pytest.raises(SealError, match=r"another key|not in the form"):
        Seal(KEY).open(sealed, "files")


def test_another_key_another_owner_or_a_changed_letter_do_not_open_it():
    sealed = Seal(KEY).close(SECRET, "files")
    middle = "A" if sealed[20] != "A" else "B"
    for seal, text, whose in (
        (Seal(bytes(32)), sealed, "files"),
        (Seal(KEY), sealed, "mail"),
        (Seal(KEY), sealed[:20] + middle + sealed[21:], "files"),
    ):
        with pytest.raises(SealError):
            seal.open(text, whose)


def test_only_the_very_text_opens_although_base64_can_be_written_in_other_ways():
    sealed = Seal(KEY).close(SECRET)
    for text in (sealed + "=", sealed[:3] + "\n" + sealed[3:], sealed[3:], sealed.rstrip("=") + "\u00e4"):
        with pytest.raises(SealError):
            Seal(KEY).open(text)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(b"short")
