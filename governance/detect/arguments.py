"""Dangerous tool arguments: destructive SQL, shell commands that destroy or fetch and run, path traversal.

Only in arguments: in prose and documents the same text is quoted for good reasons. What may be destroyed is for
policy to say; here it is only told that something would be.
"""

# ruff: noqa: E501 - a pattern is easier to read on one long line than cut into pieces

from collections.abc import Iterable

from governance.detect.rule import Rule
from governance.exchange import Role

_ARGUMENT = frozenset((Role.ARGUMENT,))
_NAME = r"[\w.\x22`\[\]-]{1,64}"

_SQL = {
    "drop": r"\bdrop\s{1,8}(?:table|database|schema|view|index|user|role|function|procedure|trigger|tablespace)\s{1,8}(?:if\s{1,8}exists\s{1,8})?[\w\x22`\[]",
    "truncate": rf"\btruncate\s{{1,8}}(?:table\s{{1,8}})?{_NAME}\s{{0,8}}(?:;|,|cascade|restart)|\btruncate\s{{1,8}}table\s",
    "delete_all": rf"\bdelete\s{{1,8}}from\s{{1,8}}{_NAME}\s{{0,8}}(?:;|--|where\s{{1,8}}(?:1\s{{0,4}}=\s{{0,4}}1|true)\b)",
    "delete_end": rf"\bdelete\s{{1,8}}from\s{{1,8}}{_NAME}\s{{0,8}}",
    "update_all": rf"\bupdate\s{{1,8}}{_NAME}\s{{1,8}}set\s{{1,8}}[^\x00;]{{1,200}}where\s{{1,8}}(?:1\s{{0,4}}=\s{{0,4}}1|true)\b",
    "alter": rf"\balter\s{{1,8}}table\s{{1,8}}{_NAME}\s{{1,8}}drop\s",
    "grant": rf"\bgrant\s{{1,8}}(?:all|superuser|dba)\b[^\x00;]{{0,80}}\bto\s|\balter\s{{1,8}}(?:user|role)\s{{1,8}}{_NAME}\s{{1,8}}(?:with\s{{1,8}})?superuser",
    "union": r"\bunion\s{1,8}(?:all\s{1,8})?select\s{1,8}[\w*@'\x22(]",
    "tautology": r"['\x22]\s{0,4}\)?\s{0,4}(?:or|and)\s{1,4}(?:['\x22]?\w{1,12}['\x22]?\s{0,4}=\s{0,4}['\x22]?\w{1,12}['\x22]?)\s{0,4}(?:--|#|;|/\*|['\x22])",
    "stacked": r"['\x22]?\s{0,4};\s{0,8}(?:drop|delete|truncate|insert|update|alter|exec|shutdown|create)\s{1,8}(?:table|from|into|database|user|\w{1,32}\s{1,8}set)\b",
    "run": r"\bxp_cmdshell\b|\binto\s{1,8}(?:out|dump)file\s{1,8}['\x22]|\bload_file\s{0,4}\(|\bpg_read_file\s{0,4}\(|\bcopy\s{1,8}[^\x00;]{1,120}\b(?:to|from)\s{1,8}program\s{0,4}'",
    "delay": r"\b(?:pg_sleep|sleep|benchmark|dbms_pipe\.receive_message)\s{0,4}\(\s{0,4}\d|\bwaitfor\s{1,8}delay\s{1,4}'",
}

_SHELL = {
    "remove": r"\brm\s{1,8}(?:-{1,2}[\w-]{1,24}\s{1,8}){0,4}-{1,2}(?:[a-z]{0,8}r[a-z]{0,8}f|[a-z]{0,8}f[a-z]{0,8}r|recursive|r|no-preserve-root)[a-z-]{0,12}\s{1,8}[\w/~.*$\x22'-]",
    "wipe": r"\bmkfs(?:\.\w{1,8})?\s|\bdd\s{1,8}[^\x00\n]{0,80}of=/dev/|\bshred\s{1,8}-|\bwipefs\s|>\s{0,4}/dev/(?:sd|nvme|hd|vd|disk)|\bdiskutil\s{1,8}erase",
    "windows": r"\bdel\s{1,8}/[fsq]\b|\brd\s{1,8}/s\b|\brmdir\s{1,8}/s\b|\bformat\s{1,8}[a-z]:|remove-item\s[^\x00\n]{0,80}-recurse|\bvssadmin\s{1,8}delete",
    "fork_bomb": r":\s{0,4}\(\s{0,4}\)\s{0,4}\{\s{0,4}:\s{0,4}\|\s{0,4}:\s{0,4}&\s{0,4}\}\s{0,4};",
    "fetch_and_run": r"\b(?:curl|wget|fetch|iwr|invoke-webrequest)\s[^\x00\n|;]{1,300}\|\s{0,4}(?:sudo\s{1,4})?(?:ba|z|k|da|fi)?sh\b"
    r"|\b(?:curl|wget)\s[^\x00\n|;]{1,300}\|\s{0,4}(?:sudo\s{1,4})?(?:python|perl|ruby|node|php)\d?\b"
    r"|\b(?:ba|z)?sh\s{1,4}(?:-c\s{1,4})?[\x22']?(?:<\(|\$\(|`)\s{0,4}(?:curl|wget)|\biex\s{0,4}\(|downloadstring\s{0,4}\(",
    "reverse_shell": r"/dev/tcp/[\w.-]{1,80}/\d|\bnc(?:at)?\s[^\x00\n]{0,80}-[a-z]{0,4}[ec]\s{1,4}/?\w{0,8}/?\w{0,4}sh\b|\bmkfifo\s[^\x00\n]{1,80}\bnc\s|\bsocat\s[^\x00\n]{0,120}exec:",
    "substitution": r"(?:;|&&|\|\||\||`|\$\()\s{0,4}(?:cat\s{1,4}/etc/|whoami\b|id\s{0,4}(?:;|`|\)|&|\|)|uname\s{1,4}-|nc\s{1,4}-|curl\s{1,4}|wget\s{1,4}|rm\s{1,4}-|ping\s{1,4}-[cn]|sleep\s{1,4}\d|nslookup\s)",
    "permissions": r"\bchmod\s{1,8}(?:-[a-z]{1,4}\s{1,8}){0,2}(?:0?777|a\+rwx|\+s|u\+s)\s{1,8}/|\bchown\s{1,8}-r\s{1,8}[\w:.-]{1,40}\s{1,8}/",
    "sensitive_read": r"\b(?:cat|less|more|head|tail|cp|scp|base64|xxd|type)\s{1,8}[^\x00\n|;]{0,80}(?:/etc/(?:passwd|shadow|sudoers)|\.ssh/id_|\.aws/credentials|/proc/self/environ)",
    "git_destroy": r"\bgit\s{1,8}push\s[^\x00\n;|]{0,80}(?:--force\b|-f\b)|\bgit\s{1,8}reset\s{1,8}--hard|\bgit\s{1,8}clean\s{1,8}-[a-z]{0,4}f|\bgit\s{1,8}filter-branch",
    "cloud_destroy": r"\bkubectl\s{1,8}delete\s{1,8}(?:ns|namespace|all|--all|pv|deployment|statefulset)|\bterraform\s{1,8}(?:destroy|apply\s[^\x00\n]{0,40}-auto-approve)"
    r"|\baws\s{1,8}(?:s3\s{1,8}(?:rb|rm)\s[^\x00\n]{0,120}--(?:force|recursive)|\w{1,16}\s{1,8}(?:delete|terminate)-\w)|\bdocker\s{1,8}system\s{1,8}prune\s{1,8}-",
    "halt": r"\b(?:shutdown|halt|poweroff|reboot)\s{1,8}-{1,2}[a-z]|\bkill(?:all)?\s{1,8}-9\s{1,8}-1\b|\bcrontab\s{1,8}-r\b|\bhistory\s{1,8}-c\b|\biptables\s{1,8}-f\b",
}

_PATH = {
    "climb": r"(?:\.\.[/\\]){2,40}",
    "climb_to": r"\.\.[/\\](?:etc|windows|root|proc|var|home|boot|\.ssh|\.aws|\.git|\.env)\b",
    "double": r"(?:\.{2,4}//|\.\.;/|\.\.\\/|/\.\.\.{1,2}/){1,20}",
    "system_file": r"(?:file://)?/(?:etc/(?:passwd|shadow|sudoers|hosts|ssh/)|proc/(?:self|\d{1,7})/(?:environ|cmdline|mem|maps|fd)|root/|dev/(?:mem|kmem|sd[a-z]))",
    "secret_file": r"\.(?:ssh/(?:id_|authorized_keys|config)|aws/credentials|kube/config|netrc\b|git-credentials|docker/config\.json|gnupg/)",
    "windows_file": r"[a-z]:[\\/]{1,2}(?:windows[\\/]{1,2}(?:system32|win\.ini)|boot\.ini)",
    "overlong": r"%(?:c0%(?:ae|af|2f)|c1%9c|e0%80%ae|25(?:2e|2f|5c))",
}


def _rule(kind: str, name: str, pattern: str, after: str = "") -> Rule:
    rule = f"argument.{kind}.{name}"
    return Rule(
        rule,
        f"argument.{kind}",
        pattern,
        after=after,
        roles=_ARGUMENT,
        caseless=True,
        phrase=True,
    )


def rules() -> Iterable[Rule]:
    """The rules of this family."""
    ends = {"delete_end": r"(?:\Z|(?=[\x00\x22'`]))"}
    return (
        *(_rule("sql", name, pattern, ends.get(name, "")) for name, pattern in _SQL.items()),
        *(_rule("shell", name, pattern) for name, pattern in _SHELL.items()),
        *(_rule("path", name, pattern) for name, pattern in _PATH.items()),
    )
