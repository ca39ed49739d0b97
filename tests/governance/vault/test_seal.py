"""A sealed secret opens with its own master key, for its own server, unchanged; and in no other case."""

import pytest

from governance.vault.seal import Seal, SealError

SECRET = b"refresh-token-canary"
MASTER = bytes(range(32))


def test_a_secret_opens_again():
    assert Seal(MASTER).open(Seal(MASTER).close(SECRET, "files"), "files") == SECRET


def test_a_sealed_secret_shows_nothing_and_never_looks_the_same():
    one, two = (Seal(MASTER).close(SECRET, "files") for _ in range(2))
    assert one != two
    assert "canary" not in one


@pytest.mark.parametrize(
    "sealed", ["", "v1.", "v1.AAAA", "v1.%%%", "v2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u00e4"]
)
def test_what_was_never_sealed_does_not_open(sealed: str):
    with pytest.raises(SealError, match="does not open with this master key"):
        Seal(MASTER).open(sealed, "files")


def test_another_key_another_server_or_a_changed_letter_do_not_open_it():
    sealed = Seal(MASTER).close(SECRET, "files")
    middle = "A" if sealed[20] != "A" else "B"
    for seal, text, whose in (
        (Seal(bytes(32)), sealed, "files"),
        (Seal(MASTER), sealed, "mail"),
        (Seal(MASTER), sealed[:20] + middle + sealed[21:], "files"),
    ):
        with pytest.raises(SealError):
            seal.open(text, whose)
