"""What every page has: its head, its style, and the few lines of script by which tables are sorted.

The page asks for nothing from outside, and says so to the browser: no other script than this one runs, nothing is
loaded. What comes from files is escaped before it comes here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

from sftkit.inspecting.pictures.html import escaped

#: A cell: what is shown, and what it is sorted by if that is not the text.
Cell = str | tuple[str, float]

_STYLE = """
:root{--ink:#1c2126;--soft:#59636e;--paper:#fff;--line:#d8dee4;--band:#f6f8fa;--link:#0969da;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--paper:#0d1117;--line:#3d444d;--band:#161b22;
--link:#4493f8}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:72rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 .3rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .2rem}p{margin:.3rem 0 .7rem;color:var(--soft);max-width:46rem}
a{color:var(--link)}nav{margin:.6rem 0}nav a{margin-right:1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px}
table.rows th,table.rows td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
table.rows td.n,table.rows th.n{text-align:right;font-variant-numeric:tabular-nums}
table.rows tbody tr:nth-child(even){background:var(--band)}
table.rows th{white-space:nowrap;font-weight:600}
th button{all:unset;cursor:pointer}th button:focus-visible{outline:2px solid var(--link)}
th[aria-sort] button::after{content:" \\2195";color:var(--soft)}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:11px system-ui,sans-serif}
svg .grid{stroke:var(--line)}
figure{margin:.5rem 0}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{max-width:none;padding:0;font-size:11px}h2,h3{break-after:avoid}figure,tr,details table{break-inside:avoid}
.wide{overflow:visible}table{font-size:9px}table.rows th{white-space:normal}
table.rows th,table.rows td{padding:.15rem .3rem}th button::after{content:""!important}}
@media (max-width:40rem){body{padding:.8rem}}
"""

#: Numbers that JavaScript writes otherwise than Python.
_NUMBERS = {float("inf"): "Infinity", float("-inf"): "-Infinity"}

_SCRIPT = """
document.querySelectorAll("table.sortable").forEach(function (table) {
  var heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
  function key(row, at) {
    var cell = row.cells[at], number = cell.dataset.v;
    return number === undefined ? cell.textContent : Number(number);
  }
  heads.forEach(function (head, at) {
    head.querySelector("button").addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(function (each) { each.setAttribute("aria-sort", "none"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      Array.from(body.rows).sort(function (a, b) {
        var x = key(a, at), y = key(b, at);
        var numbers = typeof x === "number" && typeof y === "number";
        var order = numbers ? (x < y ? -1 : x > y ? 1 : 0) : String(x).localeCompare(String(y));
        return up ? order : -order;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
});
addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (part) { part.open = true; });
});
document.documentElement.dataset.sorts = "yes";
"""


def document(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: of it, not yet escaped.
        body: HTML.
    """
    allowed = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def section(anchor: str, title: str, said: str, *parts: str) -> str:
    """A part of the page under a heading, with a sentence on what one sees; nothing if there is nothing to see.

    Args:
        anchor: its name within the page, one of the program's own.
        title: its heading, not yet escaped.
        said: the sentence, not yet escaped.
        parts: HTML.
    """
    inside = "\n".join(part for part in parts if part)
    if not inside:
        return ""
    told = f"<p>{escaped(said, 600)}</p>" if said else ""
    return f'<section id="{anchor}"><h2>{escaped(title)}</h2>{told}\n{inside}</section>'


def rows(headings: Sequence[str], cells: Iterable[Sequence[Cell]]) -> str:
    """A table that a click on a heading sorts; a column is of numbers if its first row has one there.

    Args:
        headings: not yet escaped.
        cells: rows, not yet escaped; what is missing is sorted by minus infinity, never by NaN.
    """
    body = [list(row) for row in cells]
    if not body:
        return ""
    numbers = [isinstance(cell, tuple) for cell in body[0]]
    head = "".join(
        f'<th aria-sort="none"{_side(number)}><button>{escaped(text)}</button></th>'
        for text, number in zip(headings, numbers, strict=True)
    )
    lines = "".join(
        "<tr>" + "".join(_cell(cell, number) for cell, number in zip(row, numbers, strict=True)) + "</tr>"
        for row in body
    )
    return (
        f'<div class="wide"><table class="rows sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _side(number: bool) -> str:
    return ' class="n"' if number else ""


def _cell(cell: Cell, number: bool) -> str:
    text, value = cell if isinstance(cell, tuple) else (cell, None)
    key = "" if value is None else f' data-v="{_NUMBERS.get(value, repr(value))}"'
    lines = "<br>".join(escaped(line) for line in text.splitlines()) or ""
    return f"<td{_side(number)}{key}>{lines}</td>"
