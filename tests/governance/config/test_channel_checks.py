"""Mistakes in the settings of channels, told by line and key; no secret of one is ever repeated."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.config.load import ConfigError, load

CANARY = "secret-canary"
MAIL: dict[str, Any] = {
    "type": "email", "host": "smtp.example.org", "sender": "wicket@example.org", "recipients": ["a@example.org"],
}  # fmt: skip
SLACK: dict[str, Any] = {"type": "slack", "url": "${URL}"}


def written(folder: Path, channel: dict[str, Any], name: str = "ops") -> Path:
    file = folder / "wicket.yaml"
    file.write_text(yaml.safe_dump({"approvals": {"channels": {name: channel}}}))
    return file


def read(file: Path) -> Any:
    return load(file, {"URL": f"https://hooks.example.com/{CANARY}", "BAD": CANARY, "PASSWORD": CANARY})


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({"type": "pager"}, "`approvals.channels.ops.type`"),
        ({"type": "slack"}, "`approvals.channels.ops.url` is missing"),
        ({"type": "teams", "url": "${BAD}"}, "`approvals.channels.ops.url` must be an `http://` or"),
        ({"type": "slack", "url": "https://hooks.example.com/x"}, "must not hold the secret itself"),
        ({**SLACK, "host": "smtp.example.org"}, "`approvals.channels.ops.host` does not belong to the type `slack`"),
        ({**MAIL, "url": "${URL}"}, "`approvals.channels.ops.url` does not belong to the type `email`"),
        ({**MAIL, "host": "smtp://x"}, "`approvals.channels.ops.host` must be the name of a host"),
        ({**MAIL, "security": "none"}, "`approvals.channels.ops.security` may only be `none`"),
        ({**MAIL, "user": "u"}, "`approvals.channels.ops.password` is missing"),
        ({**MAIL, "user": "u", "password": "plain"}, "must not hold the secret itself"),
        ({**MAIL, "password": "${PASSWORD}"}, "`approvals.channels.ops.user` is missing"),
        ({**MAIL, "sender": "Wicket\nBcc: x@y.z"}, "`approvals.channels.ops.sender` must be an address"),
        ({**MAIL, "recipients": []}, "`approvals.channels.ops.recipients` names nobody"),
        ({**MAIL, "recipients": ["a@b.c, d@e.f"]}, "`approvals.channels.ops.recipients[0]` must be an address"),
        ({**MAIL, "colour": "red"}, "`approvals.channels.ops.colour`"),
    ],
)
def test_a_mistake_is_told_by_its_key(tmp_path: Path, channel: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(written(tmp_path, channel))
    assert said in str(caught.value)
    assert CANARY not in str(caught.value)


def test_the_name_of_a_channel_must_be_one_that_a_command_can_take(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a usable name"):
        read(written(tmp_path, SLACK, "two words"))


def test_channels_are_read_with_their_secrets_which_they_do_not_show(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{CANARY}\n")
    mail = {**MAIL, "user": "wicket", "password": "file:password", "security": "tls", "port": 465}
    (one,) = read(written(tmp_path, mail)).approvals.channels.values()
    assert one.password == CANARY
    assert CANARY not in repr(one)
    (other,) = read(written(tmp_path, SLACK)).approvals.channels.values()
    assert CANARY not in repr(other)
    local = {**MAIL, "host": "localhost", "port": 25, "security": "none"}
    assert read(written(tmp_path, local)).approvals.channels["ops"].security == "none"
