"""What is on screen as a file: a table as CSV, a sheet as JSON or as one HTML file that needs nothing else. Pure functions."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.palette import palette
from app.sheet import Sheet, Table, shown
from app.words import NOTHING, Words
from loopwright.store.tables import no_formula

__all__ = ["csv_of", "html_of", "json_of"]

SCHEMA_VERSION = 1


def csv_of(table: Table) -> bytes:
    """UTF-8 with a mark for spreadsheets; text that one would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_cell(row.get(column.key)) for column in table.columns])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _cell(value: Any) -> Any:
    text = (
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else None
    )
    if text is None:
        return value
    return no_formula(text)


def json_of(sheet: Sheet, about: Mapping[str, Any]) -> bytes:
    """Notices, figures, tables and facts; numbers unrounded. ``about``: which loop, up to which entry, when."""
    told = {
        "schema_version": SCHEMA_VERSION,
        "about": dict(about),
        "title": sheet.title,
        "notices": [asdict(one) for one in sheet.notices],
        "figures": [asdict(one) for one in sheet.figures],
        "tables": {one.name: [dict(row) for row in one.rows] for one in sheet.tables},
        "facts": dict(sheet.facts),
    }
    return json.dumps(told, indent=1, ensure_ascii=False, default=str).encode()


def html_of(sheet: Sheet, words: Words, about: Mapping[str, Any]) -> bytes:
    """One file without a script, a font or a picture from elsewhere; charts are drawn into it."""
    parts = [
        f"<h1>{_safe(sheet.title)}</h1>",
        f"<p class=quiet>{_safe('; '.join(f'{key} {value}' for key, value in about.items()))}</p>",
    ]
    for notice in sheet.notices:
        rest = "".join(f"<pre>{_safe(text)}</pre>" for text in (notice.detail, notice.command) if text)
        parts.append(f'<div class="notice {notice.kind}"><strong>{_safe(notice.title)}</strong>{rest}</div>')
    if sheet.figures:
        boxes = (
            f"<div><dt>{_safe(one.label)}</dt><dd>{_safe(one.value)}</dd><p class=quiet>{_safe(one.note)}</p></div>"
            for one in sheet.figures
        )
        parts.append(f"<dl>{''.join(boxes)}</dl>")
    parts += [
        f"<h2>{_safe(chart.title)}</h2>{_svg(chart.chart, chart.words)}<p class=quiet>{_safe(chart.note)}</p>"
        for chart in sheet.charts
    ]
    parts += [_table(one, words) for one in sheet.tables]
    page = (
        f'<!doctype html><html lang="{words.language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{_safe(sheet.title)}</title><style>{_style()}</style><main>{''.join(parts)}</main></html>"
    )
    return page.encode()


def _safe(text: Any) -> str:
    return html.escape(str(text))


def _svg(chart: Any, said: str) -> str:
    """The chart as a picture that is a part of the page: an ``img`` cannot run anything."""
    import base64

    import vl_convert

    svg = vl_convert.vegalite_to_svg(chart.to_json())
    return f'<img alt="{html.escape(said)}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'


def _table(table: Table, words: Words) -> str:
    head = "".join(f'<th scope="col">{_safe(column.label)}</th>' for column in table.columns)
    writers = [
        (column.key, shown(words, column), column.kind in {"text", "digest", "time", "yesno"}) for column in table.columns
    ]
    rows = "".join(
        "<tr>"
        + "".join(f"<td{'' if text else ' class=n'}>{_written(row.get(key), write)}</td>" for key, write, text in writers)
        + "</tr>"
        for row in table.rows
    )
    return f"<h2>{_safe(table.title)}</h2><div class=wide><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div><p class=quiet>{_safe(table.note)}</p>"


def _written(value: Any, write: Any) -> str:
    return NOTHING if value is None else _safe(write(value))


def _style() -> str:
    sides = {
        theme: "".join(f"--{name}:{value};" for name, value in palette(theme).items() if isinstance(value, str))
        for theme in ("light", "dark")
    }
    return (
        f":root{{{sides['light']}}}@media(prefers-color-scheme:dark){{:root{{{sides['dark']}}}}}"
        "body{background:var(--ground);color:var(--ink);font:15px/1.45 Inter,system-ui,sans-serif;margin:0}"
        "main{max-width:1100px;margin:auto;padding:1.5rem}h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2rem}"
        ".quiet{color:var(--quiet);font-size:.85rem}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}"
        "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}.n{text-align:right;white-space:nowrap}"
        "dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.8rem}dl>div{border:1px solid var(--line);border-radius:.3rem;padding:.7rem}"
        "dt{color:var(--quiet);font-size:.85rem}dd{margin:0;font-size:1.5rem;font-weight:600}"
        ".notice{border-left:4px solid var(--primary);background:var(--raised);padding:.6rem .9rem;margin:.6rem 0}.error{border-color:var(--bad)}"
        ".warning{border-color:var(--warn)}pre{white-space:pre-wrap;overflow-wrap:anywhere}img{max-width:100%;background:#fff}"
    )
