"""The tables of `status` and `show`. Values come from `loopwright.ledger.overview`; nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_cycle", "print_overview", "print_rows", "print_standing"]

WORD = 24
"""Letters of a word that is never taken apart."""
WIDE = 160
"""Of a table that goes into a file."""


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A plain table whose cells wrap between words; a paragraph each where the terminal is too narrow for their longest words.

    What a model or a person wrote is text, never markup.
    """
    from loopwright.report.format import printable

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else WIDE)
    needed = [max(map(_longest, column)) for column in zip(heads, *cells, strict=True)]
    if sum(needed) + 2 * (len(heads) - 1) > console.width:
        for row in cells:
            _paragraph(console, heads, row)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head, width in zip(heads, needed, strict=True):
        table.add_column(head, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _longest(text: str) -> int:
    """Of its words, up to where one is taken apart all the same."""
    return min(WORD, max(map(len, text.split()), default=0))


def _paragraph(console: Console, heads: Sequence[str], row: Sequence[str]) -> None:
    """The first cell on a line of its own, the others below it with their names."""
    console.print(Text(row[0], style="bold"), soft_wrap=True)
    wide = max(map(len, heads[1:]))
    body = Table(box=None, pad_edge=False, show_header=False)
    body.add_column(min_width=wide + 2)
    body.add_column(overflow="fold")
    for head, cell in zip(heads[1:], row[1:], strict=True):
        if cell:
            body.add_row(Text(f"  {head}"), Text(cell))
    console.print(body)


def print_overview(seen: Mapping[str, Any]) -> None:
    """The loop in one screen."""
    console = _console()
    marks = " (demonstration keys, not persons)" if seen["demo"] else ""
    console.print(Text(f"{seen['name']}: champion {seen['champion'] or 'none yet'}, {seen['leaves']} entries{marks}"))
    for freeze in seen.get("admission_frozen", ()):
        console.print(Text(f"admission is frozen since {freeze['cycle']} {freeze['phase']}: {freeze['message']}", style="bold"))
    if not seen["cycles"]:
        console.print(Text("no cycle yet: `loopwright run`"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("cycle", "parent", "decision"):
        table.add_column(heading)
    for heading in ("gate (95 % interval)", "sealed (95 % interval)", "n", "accepted", "refused", "tokens", "time"):
        table.add_column(heading, justify="right")
    for row in seen["cycles"]:
        table.add_row(*_cells(row))
    console.print(table)
    console.print(Text(_trend(seen["tightening"])))


def print_standing(seen: Mapping[str, Any]) -> None:
    """What stands in the way, what is used up of what, and what models do in the field."""
    console = _console()
    if seen["halted"]:
        console.print(Text(f"HALTED: {seen['halted']['message']}", style="red"), soft_wrap=True)
        console.print(Text(f"  next: {seen['halted']['next_step']}"), soft_wrap=True)
    for stop in (*seen["freezes"], *seen["halts"]):
        console.print(Text(f"  entry {stop['leaf']}, {stop['at']}, by {stop['by']}: {stop['reason']}"), soft_wrap=True)
    if seen["plan_error"]:
        console.print(Text(f"loop.yaml cannot be read: {seen['plan_error']}", style="red"), soft_wrap=True)
    for line in (
        *map(_request, seen["requests"]),
        *map(_recall, seen["recalls"]),
        *_witnesses(seen["witnesses"]),
        *_unpushed(seen["push"], off=seen["pushing"] == "never"),
    ):
        console.print(Text(line), soft_wrap=True)
    if seen["envelope"]:
        console.print(Text(f"envelope in force: {seen['envelope'][:19]}"))
    for line in seen["budgets"]:
        if line["limit"] is not None:
            used = f"{line['used']:.4g} of {line['limit']:.4g} {line['unit']}".rstrip()
            console.print(Text(f"budget {line['name']}: {used} used ({line['used'] / line['limit']:.0%}; {line['method']})"))
    for row in seen["field"]:
        lab = (
            f"sealed {_score(row['sealed'])}, gap {_signed(row['gap'], '')}" if row["gap"] else "no laboratory score to compare"
        )
        said = f"field {row['cycle']} {row['metric']}: {_score(row)}, n = {row['n']}; {lab} ({row['source']})"
        console.print(Text(said), soft_wrap=True)


def _unpushed(seen: Mapping[str, Any] | None, *, off: bool) -> list[str]:
    """What has no copy on the remote yet, in one line; none where nothing waits."""
    if seen is None or not seen["waiting"]:
        return []
    cycles = seen["waiting"]
    if off and not seen["failure"]:
        return [
            f"runs push nothing (`versioning.push: never`); {len(cycles)} cycles have no copy on the remote (`loopwright push`)"
        ]
    which = cycles[0] if len(cycles) == 1 else f"{len(cycles)} cycles, {cycles[0]} to {cycles[-1]}"
    failed = f"; the last try failed {seen['failure']['at']}: {seen['failure']['error']}" if seen["failure"] else ""
    return [f"not pushed yet: {which} (`loopwright push`){failed}"]


def _request(row: Mapping[str, Any]) -> str:
    """One open request: what, until when, on which evidence, and who may still sign."""
    short, about = row["request"][7:19], " ".join(f"{name} {value}" for name, value in row["details"].items() if value)
    free = ", ".join(f"{one['name']} ({one['note']})" if one["note"] else one["name"] for one in row["may_sign"])
    lacks = "; ".join(row["missing"]) or "nothing: the next run carries it out"
    evidence = ", ".join(digest[7:19] for digest in (*(item["digest"] for item in row["subjects"]), *row["evidence"]))
    return (
        f"request {short} ({row['action']}{': ' + about if about else ''}) is {row['status']} until {row['expires_at']}, "
        f"lacks {lacks}; about {evidence or 'the loop'}; may sign: {free or 'nobody enrolled'} (`loopwright answer {short}`)"
    )


def _recall(row: Mapping[str, Any]) -> str:
    models = ", ".join(row["models"]) or "none"
    return f"RECALLED {row['what']} by {row['by']} at {row['recalled_at']}: {row['reason']}; models: {models}"


def _witnesses(rule: Mapping[str, Any] | None) -> list[str]:
    """How far those outside have seen; nothing where the policy names none and nobody refused."""
    if rule is None:
        return []
    lines = [f"WITNESSES REFUSE THIS LOG: {problem}" for problem in rule["against"]]
    if rule["required"]:
        lines.append(f"promotions wait for {rule['required']} witnesses, within {rule['within_hours']:g} hours")
    for one in rule["known"]:
        seen = f"has seen {one['size']} entries at {one['cosigned_at']}" if one["size"] else "has seen nothing"
        lines.append(f"witness {one['witness']} {seen}; {one['entries_since']} came after")
    return lines


def print_cycle(row: Mapping[str, Any]) -> None:
    """One cycle, whole."""
    console = _console()
    console.print(
        Text(f"{row['cycle']}: {row['decision'] or 'open'}  (parent {row['parent'] or '-'}, prev {row['prev'] or '-'})")
    )
    for reason in row["reasons"]:
        console.print(Text(f"  {reason}"))
    levels = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("level", "gate pass@1 (95 % interval)", "n", "sealed pass@1 (95 % interval)", "n"):
        levels.add_column(heading, justify="right")
    for level, gate in row["gate_levels"].items():
        sealed = row["sealed_levels"].get(level)
        levels.add_row(level, _score(gate), _count(gate), _score(sealed), _count(sealed))
    levels.add_row("headline", _score(row["gate"]), _count(row["gate"]), _score(row["sealed"]), _count(row["sealed"]))
    console.print(levels)
    if row["pass_at"]:
        console.print(Text(f"sealed pass@{row['pass_at']['k']}, headline: {_score(row['pass_at']['headline'])}"))
    rows = [f"accepted {_figure(row['accepted'])}"] + [f"{reason}: {count}" for reason, count in row["refused"].items()]
    console.print(Text("rows: " + " · ".join(rows)))
    console.print(_checks(row["checks"]))
    if any(row["card"].values()):
        console.print(_card(row))
    console.print(Text("time: " + " · ".join(f"{phase} {seconds:.1f} s" for phase, seconds in row["seconds"].items())))
    for artifact in row["artifacts"]:
        console.print(
            Text(f"{artifact['kind']:<11} {artifact['digest']}  entry {artifact['leaf']}  {artifact['path']}"), soft_wrap=True
        )


def _checks(links: Sequence[Mapping[str, Any]]) -> Table:
    """Who is checking the builder."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("made by", "checked by", "keys and ancestors in common", "code in common", "verdict"):
        table.add_column(heading)
    for link in links:
        shared = [*link["shared_keys"], *(digest[:19] for digest in link["shared_ancestors"])]
        code = link["shared_code"]
        colour = {"independent": "green", "shared": "red"}.get(link["verdict"], "yellow")
        table.add_row(
            Text(f"{link['phase']}: {link['maker']}"),
            Text(link["checker"] or "-"),
            Text(", ".join(shared) or "none" if link["checker"] else "-"),
            Text("-" if code is None else ", ".join(name.removeprefix("loopwright.") for name in code) or "none"),
            Text(link["verdict"], style=colour),
        )
    return table


def _card(row: Mapping[str, Any]) -> Table:
    """The collapse card: each figure that was measured, under its lamp; stress apart."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("card", "value (95 % interval)", "n", "light"):
        table.add_column(heading)
    for name, figure in row["card"].items():
        if figure:
            light = row["lights"].get(name, "no rule")
            colour = {"fine": "green", "warn": "yellow", "stop": "red"}.get(light, "dim")
            table.add_row(Text(name.replace("_", " ")), _score(figure), _count(figure), Text(light, style=colour))
    for kind, figure in row["stress"].items():
        table.add_row(Text(f"stress: {kind}"), _score(figure), _count(figure), Text("reported apart", style="dim"))
    return table


def _console() -> Console:
    """As wide as the terminal; where the result goes to a file, wide enough for its lines to stay whole."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 120)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = row["wall_seconds"] or sum(row["seconds"].values())
    return (
        row["cycle"],
        row["parent"] or "-",
        row["decision"] or "open",
        _score(row["gate"]),
        _score(row["sealed"]),
        _count(row["gate"]),
        _figure(row["accepted"]),
        _figure(sum(row["refused"].values()) if row["refused"] else None),
        _figure(row["tokens"]),
        f"{seconds:.1f} s",
    )


def _trend(tightening: Mapping[str, Any]) -> str:
    time, gain = tightening["cycle_seconds_trend"], tightening["gain_per_hour_trend"]
    if not time or not gain:
        return "tightening: a trend needs three turned cycles"
    return (
        f"tightening: cycle time {_signed(time, 's')} a cycle, gain an hour {_signed(gain, '')} a cycle "
        f"(least squares, 95 % interval, n = {time['n']})"
    )


def _signed(slope: Mapping[str, Any], unit: str) -> str:
    return f"{slope['value']:+.2f} {unit} ({slope['low']:+.2f} to {slope['high']:+.2f})".replace("  ", " ")


def _score(score: Mapping[str, Any] | None) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})" if score else "-"


def _count(score: Mapping[str, Any] | None) -> str:
    return str(score["n"]) if score else "-"


def _figure(value: int | None) -> str:
    return f"{value:,}" if value is not None else "-"
