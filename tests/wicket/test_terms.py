"""What a wrapper must have in common with the proxy: which words of the configuration, and what they mean here."""

from pathlib import Path

import pytest

from governance.config.document import Document
from governance.config.references import References
from wicket.handover import digest_of, home, meanings
from wicket.terms import terms_of

ENVIRON = {"A": "1", "B": "", "_C9": "ü"}
TEXTS = (
    "${A}",
    "x${A}y${_C9}",
    "${env:A}",
    "${B}",
    "${B:-z}",
    "${NONE:-}",
    "${NONE}",
    "$${A}",
    "${1}",
    "$A",
    "${A:-z}",
)


def digest(text: str) -> str:
    return digest_of(text.encode())[:32]


@pytest.mark.parametrize("text", TEXTS)
def test_a_reference_means_to_a_wrapper_what_it_means_to_who_loads_the_file(text: str, tmp_path: Path) -> None:
    for reference, value in meanings(text.encode(), ENVIRON).items():
        references = References(Document("f", reference, {}), ENVIRON, tmp_path)
        filled = references.filled(reference, ("state",))
        assert value == (None if references.problems else digest(str(filled)))


def test_every_reference_is_seen() -> None:
    seen = meanings("\n".join(TEXTS).encode(), ENVIRON)
    assert list(seen) == ["${A}", "${_C9}", "${env:A}", "${B}", "${B:-z}", "${NONE:-}", "${NONE}", "${A:-z}"]


def test_only_what_matters_to_a_wrapped_server_must_mean_the_same(tmp_path: Path) -> None:
    config = tmp_path / "wicket.yaml"
    config.write_text(
        "policies: ['${A}', b]\ndatabase: '${B:-x}'\n"
        "providers: {p: {api_key: '${KEY}'}}\nmcpServers: {s: {command: c, env: {T: '${T}'}}}\n"
    )
    terms = terms_of(config, {"A": "1", "KEY": "k", "T": "t"})
    assert terms.values == {"${A}": digest("1"), "${B:-x}": digest("x")}
    assert terms.config == digest_of(config.read_bytes())
    assert terms.home == home()


@pytest.mark.parametrize("text", [None, "a: [", "- a"])
def test_a_file_that_cannot_be_used_is_not_told_here(tmp_path: Path, text: str | None) -> None:
    config = tmp_path / "wicket.yaml"
    if text is not None:
        config.write_text(text)
    assert terms_of(config, {}).values == {}
