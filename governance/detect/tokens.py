"""Secrets that show by their shape: keys and tokens of known issuers, private key blocks, passwords in addresses.

Values that documentation uses (ending in `EXAMPLE`, one character over and over, a run of the alphabet) are not
findings. Secrets that show only by the name beside them are not looked for here.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import orjson

from governance.detect.rule import WIDTH, Rule

_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{32}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER_WORDS = re.compile(r"example|placeholder|redacted|dummy|changeme|your[_-]|xxxx", re.IGNORECASE)
_PLACEHOLDER_PASSWORDS = frozenset(
    ("password", "passwd", "pass", "pwd", "secret", "user", "username", "xxx", "token", "key", "mypassword", "tiger")
)
_ALONE = (r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])")
_HEADERS = 16
"""How many possible beginnings of a JWT are tried before its first dot."""
PEM_CHARACTERS = 16_384
"""The longest private key block that is taken for one."""


def is_example(value: str) -> bool:
    """Whether a value is one that documentation uses: it repeats itself, counts up, or says so."""
    if _PLACEHOLDER_WORDS.search(value):
        return True
    letters = value.lower()
    if len(set(letters)) <= max(3, len(letters) // 12):
        return True
    rising = sum(ord(after) - ord(before) in (0, 1) for before, after in pairwise(letters))
    return rising > 0.6 * len(letters)


def _random(prefix: str) -> Callable[[str], bool]:
    """A check that what follows the prefix could have been drawn at random."""
    skipped = re.compile(prefix, re.IGNORECASE)

    def check(value: str) -> bool:
        start = skipped.match(value)
        return not is_example(value[start.end() if start else 0 :])

    return check


def github_checksum(token: str) -> bool:
    """Whether the last six characters are the base-62 CRC-32 of the thirty before, as GitHub makes them."""
    random, given = token[4:34], token[34:]
    number, digits = zlib.crc32(random.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return given == digits.rjust(6, "0")


def jwt(token: str) -> bool:
    """RFC 7519: the first segment is the base64url text of a JSON object that has an `alg`."""
    head = token.partition(".")[0]
    try:
        header = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return False
    return isinstance(header, dict) and "alg" in header


def find_jwt(run: str) -> tuple[int, int] | None:
    """The JWT at the end of a run, in whose first segment others may have begun.

    What begins last before the first dot comes first: nobody can write between a header and its dot.
    """
    dot = run.index(".")
    start = dot
    for _ in range(_HEADERS):
        start = run.rfind("eyJ", 0, start)
        if start < 0:
            return None
        if (start == 0 or run[start - 1] == "-") and jwt(run[start:dot]):
            return start, len(run)
    return None


def key_block(block: str) -> bool:
    """Whether a private key block holds a key, and is not only spoken of."""
    body = block.partition("KEY")[2].partition("-----END")[0]
    return len(_KEY_LINE.findall(body)) > 0


def url_password(userinfo: str) -> bool:
    """Whether the password of an address is one, and not a placeholder or a variable."""
    password = userinfo.partition(":")[2]
    if password.strip("*") == "" or password.lower() in _PLACEHOLDER_PASSWORDS:
        return False
    return password[0] not in "$%" and not _PLACEHOLDER_WORDS.search(password)


def _token(
    name: str,
    pattern: str,
    prefix: str = "",
    *,
    check: Callable[[str], bool] | None = None,
    width: int = WIDTH,
    gate: str = "",
) -> Rule:
    """A token that stands alone. One may begin inside another, after a hyphen or a dot."""
    rule = f"secret.{name}"
    return Rule(
        rule,
        rule,
        pattern,
        *_ALONE,
        check=check or _random(prefix),
        width=width,
        gate=gate,
        overlaps=True,
    )


def _cloud() -> Iterable[Rule]:
    return (
        _token("aws_access_key", r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}", "A..A"),
        _token("aws_bedrock_key", r"ABSK[A-Za-z0-9+/]{109,128}={0,2}", "ABSK"),
        Rule(
            "secret.aws_secret_key",
            "secret.aws_secret_key",
            r"[A-Za-z0-9/+]{40}",
            r"(?<![A-Za-z0-9/+=])",
            r"(?![A-Za-z0-9/+=])",
            check=_random(""),
            context=r"aws_?(?:secret|sec)|secret_?access_?key",
        ),
        _token("google_api_key", r"AIza[A-Za-z0-9_-]{35}", "AIza"),
        _token("google_oauth", r"ya29\.[A-Za-z0-9_-]{20,512}", r"ya29\.", width=520),
        _token("azure_ad_secret", r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
        _token("azure_storage_key", r"AccountKey=[A-Za-z0-9+/]{86}==", "AccountKey="),
        _token("digitalocean_token", r"do[por]_v1_[a-f0-9]{64}", r"do._v1_"),
        _token("databricks_token", r"dapi[a-f0-9]{32}(?:-\d)?", "dapi"),
    )


def _code() -> Iterable[Rule]:
    return (
        _token("github_token", r"gh[pousr]_[A-Za-z0-9]{36}", check=github_checksum),
        _token("github_fine_grained", r"github_pat_[A-Za-z0-9_]{82}", "github_pat_"),
        _token("gitlab_token", r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[A-Za-z0-9_-]{20,64}", r"gl\w+-"),
        _token("npm_token", r"npm_[A-Za-z0-9]{36}", "npm_"),
        _token("pypi_token", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,1000}", "pypi-AgEIcHlwaS5vcmc", width=1024),
        _token("rubygems_key", r"rubygems_[a-f0-9]{48}", "rubygems_"),
    )


def _models() -> Iterable[Rule]:
    return (
        _token(
            "openai_key",
            r"sk-(?:proj-|svcacct-|admin-|service-)?[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100}",
            r"sk-(?:\w+-)?",
        ),
        _token("anthropic_key", r"sk-ant-(?:api|admin|oat|sid)\d{2}-[A-Za-z0-9_-]{80,120}", r"sk-ant-\w+-"),
        _token("huggingface_token", r"hf_[A-Za-z]{34}", "hf_"),
        _token("perplexity_key", r"pplx-[A-Za-z0-9]{48}", "pplx-"),
        _token("groq_key", r"gsk_[A-Za-z0-9]{52}", "gsk_"),
    )


def _services() -> Iterable[Rule]:
    return (
        _token(
            "slack_token",
            r"xox[bpears]-(?:\d{8,14}-){1,3}[A-Za-z0-9]{20,64}|xapp-\d-[A-Z0-9]{8,14}-\d{10,14}-[a-f0-9]{60,70}",
            r"x\w+-",
        ),
        _token(
            "slack_webhook", r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,28}", r".*/"
        ),
        _token("stripe_key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{20,247}", r".k_\w{4}_"),
        _token("webhook_secret", r"whsec_[A-Za-z0-9+/]{24,88}={0,2}", "whsec_"),
        _token("sendgrid_key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", r"SG\."),
        _token("twilio_key", r"SK[a-f0-9]{32}", "SK"),
        _token("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", r"shp.._"),
        _token("atlassian_token", r"ATATT3[A-Za-z0-9_=-]{60,240}", "ATATT3"),
        _token("linear_key", r"lin_api_[A-Za-z0-9]{40}", "lin_api_"),
        _token("postman_key", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}", "PMAK-"),
        _token(
            "grafana_token",
            r"glsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|glc_[A-Za-z0-9+/]{32,400}={0,2}",
            r"gl\w+_",
            width=410,
        ),
        _token("doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,60}", r"dp\.\w+\."),
        _token("sentry_token", r"sntry[su]_[A-Za-z0-9+/=_-]{40,200}", r"sntry._"),
        _token("telegram_token", r"\d{8,10}:A[A-Za-z0-9_-]{34}", r"\d+:A"),
        _token("pulumi_token", r"pul-[a-f0-9]{40}", "pul-"),
        _token("onepassword_token", r"ops_eyJ[A-Za-z0-9+/_-]{200,2000}={0,2}", "ops_eyJ", width=2010),
        _token("vault_token", r"hv[sb]\.[A-Za-z0-9_-]{24,300}", r"hv.\."),
        _token("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{58}", "AGE-SECRET-KEY-1"),
    )


def rules() -> Iterable[Rule]:
    """The rules of this family."""
    body = r"[A-Za-z0-9+/=\s:,.()\\]"
    label = r"(?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    return (
        *_cloud(),
        *_code(),
        *_models(),
        *_services(),
        Rule(
            "secret.jwt",
            "secret.jwt",
            # Possessive: no part can end before its dot, and trying would cost a hostile text thousands of steps.
            r"eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{0,2000}",
            *_ALONE,
            narrow=find_jwt,
            joint=".",
            width=14_010,
            gate=r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}",
        ),
        Rule(
            "secret.private_key",
            "secret.private_key",
            rf"-----BEGIN {label}(?:(?:{body}{{1,512}}-){{0,8}}{body}{{0,{PEM_CHARACTERS}}}-----END {label}"
            rf"|{body}{{0,{PEM_CHARACTERS}}})",
            check=key_block,
            gate=f"-----BEGIN {label}",
            width=PEM_CHARACTERS + 4400,
            overlaps=True,
        ),
        Rule(
            "secret.url_password",
            "secret.url_password",
            r"[A-Za-z][A-Za-z0-9+.-]{1,15}://([A-Za-z0-9._~%+-]{1,64}:[A-Za-z0-9._~!$&*+=%^#?-]{3,128})@[A-Za-z0-9\[]",
            r"(?<![A-Za-z0-9])",
            check=url_password,
        ),
    )
