"""What strangers may write, and no page may run."""

from __future__ import annotations

PAYLOADS = [
    "<img src=x onerror=ran=1>",
    "<svg onload=ran=1>",
    "<details open ontoggle=ran=1>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<iframe src='javascript:parent.ran=1'></iframe>",
    "<a href='javascript:ran=1' id=trap>go</a>",
    '" onmouseover=ran=1 autofocus onfocus=ran=1 tabindex=0 x="',
    "<style>@import 'https://example.invalid/a.css'</style><link rel=stylesheet href=https://example.invalid/b.css>",
    "<base href=https://example.invalid/>",
    "<form action=https://example.invalid/><input type=submit id=trap2></form>",
    "</script><script>ran=1</script>",
    "<!--<script>",
    "]]>\u2028ran=1\u2029\u202e\x00",
    "{script}{policy}{data}",
    "https://example.invalid/'\"><img src=x onerror=ran=1>",
    "${ran=1}`;ran=1;//",
    "\\u003cimg src=x onerror=ran=1>",
    "__proto__",
]
