"""What `lineage`, `recall`, `reproduce` and `diff` show in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

if TYPE_CHECKING:
    from loopwright.trace.lineage import Lineage

__all__ = ["show_diff", "show_lineage", "show_recall", "show_recalls", "show_reproduction"]

_ROWS = 5
"""Rows of a task that are told in full; --json tells all."""
_NAMES = 8
"""Artifacts of a kind that are named; --json names all."""


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def show_lineage(found: Lineage, depth: int) -> None:
    """The rows that were asked for, then a tree of artifacts: each once, with the phase that leads to it."""
    console = _console()
    for row in found.rows[:_ROWS]:
        _show_row(console, row)
    if len(found.rows) > _ROWS:
        console.print(f"… and {len(found.rows) - _ROWS} more rows (--json)")
    seen: set[str] = set()
    for start in found.start:
        tree = Tree(_label(found, start))
        seen.add(start)
        _grow(tree, found, start, seen, depth)
        console.print(tree)
    if found.behind:
        kinds: dict[str, int] = {}
        for group in found.behind["by"]:
            kinds[group["kind"]] = kinds.get(group["kind"], 0) + group["rows"]
        said = ", ".join(f"{rows:,} {kind}" for kind, rows in sorted(kinds.items()))
        console.print(f"rows behind it: {found.behind['rows']:,} in {found.behind['shards']} shards ({said})")


def _show_row(console: Console, row: Mapping[str, Any]) -> None:
    run = row["verifier"]
    made = f"{row['generator']['model']} {row['origin'][:19]}" if row["generator"] else f"a person ({row['licence']})"
    console.print(f"row {row['id']}  level {row['level']}  {row['path']}")
    console.print(f"  task       {row['task']}  prompt {row['prompt'][:19]}")
    console.print(f"  written by {made}")
    console.print(
        f"  let in by  {run['identity']} in {run['phase']} (entry {run['entry']}), isolation {run['isolation'] or '-'}"
    )
    console.print(f"  data sets  {_few(row['data_sets'])}")
    console.print(f"  models     {_few(row['models'])}")


def _grow(tree: Tree, found: Lineage, node: str, seen: set[str], depth: int) -> None:
    graph = found.graph
    edges = graph.forward if found.down else graph.backward
    phases = [name for name, _ in edges.get(node, ()) if graph.nodes[name].kind == "phase"]
    hows = dict(edges.get(node, ()))
    for phase, other, how in [(name, *edge) for name in phases for edge in edges.get(name, ())]:
        if graph.nodes[other].entity and other not in seen and depth:
            seen.add(other)
            used = hows[phase] if found.down else how
            branch = tree.add(f"{_label(found, other)}  [dim]{graph.nodes[phase].label}, {used}[/dim]")
            _grow(branch, found, other, seen, depth - 1)


def _label(found: Lineage, name: str) -> str:
    node = found.graph.nodes[name]
    return f"[bold]{node.label}[/bold] {node.digest[:19]}"


def show_recall(answer: Mapping[str, Any]) -> None:
    """What is affected by kind, why, the champion, and what comes next."""
    console = _console()
    rows = answer["rows"]
    console.print(f"recalled: {answer['what']}, which enters at {_few(answer['enters'])}")
    if rows["recalled"] is not None:
        console.print(f"rows recalled: {rows['recalled']:,}")
    console.print(f"rows in data sets that are affected: {rows['tainted']:,}")
    table = Table(box=None, header_style="bold")
    for column in ("kind", "affected", "which", "why (the nearest)"):
        table.add_column(column)
    for kind, items in answer["affected"].items():
        via = items[0]["via"]
        why = f"{via['from']} → {via['phase'] or 'in it'} ({via['as']})" if via else "recalled"
        table.add_row(kind, str(len(items)), _few([item["label"] for item in items]), why)
    console.print(table)
    if answer["carried"]:
        console.print(f"not refused, but it counts them (error budget, first model's figures): {_few(answer['carried'])}")
    if "champion" in answer:
        _show_after(console, answer)


def _show_after(console: Console, answer: Mapping[str, Any]) -> None:
    champion, plan = answer["champion"], answer["retrain"]
    for name in ("approvals", "reports"):
        if answer[name]:
            console.print(f"{name} about it: {len(answer[name])} (--json names them)")
    said = "stays" if champion["was"] == champion["now"] else f"was {champion['was']}, is now"
    console.print(f"champion: {said} {champion['now'] or 'none: no promoted model is untainted'}")
    start = f"from {plan['start']}" if plan["start"] else "from the human data"
    console.print(
        f"to train again without it: {len(plan['again'])} cycles {start}, about {60 * plan['cost']['hours']:.1f} min "
        f"(estimated: {plan['cost']['method']})"
    )
    console.print(f"next: loopwright recall --retrain {answer['plan']} --directory DIR")


def show_recalls(found: Sequence[Mapping[str, Any]]) -> None:
    """One line a recall."""
    console = _console()
    if not found:
        console.print("nothing was recalled")
        return
    table = Table(box=None, header_style="bold")
    for column in ("entry", "what", "reason", "signed by", "when", "affected", "plan"):
        table.add_column(column)
    for one in found:
        told = (one["entry"], one["what"], one["reason"], one["key"], one["recalled_at"], one["affected"], one["name"])
        table.add_row(*map(str, told))
    console.print(table)


def show_reproduction(answer: Mapping[str, Any]) -> None:
    """A line an artifact, what was compared with the tolerance, and what is otherwise here."""
    console = _console()
    table = Table(box=None, header_style="bold")
    for column in ("phase", "artifact", "verdict", "first difference"):
        table.add_column(column)
    for one in answer["outcomes"]:
        measured = "".join(f" ({name} {value:.3g})" for name, value in (one["measured"] or {}).items())
        table.add_row(one["phase"], one["kind"], one["verdict"] + measured, one["where"] or "-")
    console.print(table)
    for name, pair in answer["environment"]["differs"].items():
        console.print(f"here {name} is {_short(pair['now'])}, then {_short(pair['then'])}")
    limits = ", ".join(f"{name} {value:g}" for name, value in answer["tolerance"].items())
    console.print(f"{answer['cycle']}: {answer['verdict']} (tolerance: {limits}), signed as entry {answer['entry']}")


def show_diff(found: Mapping[str, Any]) -> None:
    """The parts of a difference, each on its own."""
    console = _console()
    data = found["data"]
    console.print(f"rows: {data['in']:,} in, {data['out']:,} out, {data['changed']:,} changed, {data['same']:,} the same")
    for group in data["by"]:
        console.print(f"  {group['change']:8} level {group['level']}  {group['origin']:6} {group['rows']:>8,}")
    for part in ("code", "configuration", "environment"):
        console.print(f"{part}: {len(found[part])} differ" if found[part] else f"{part}: the same")
        for name, pair in found[part].items():
            console.print(f"  {name}: {_short(pair[found['cycles'][0]])} → {_short(pair[found['cycles'][1]])}")
    for suite, score in found["scores"].items():
        if score["gain"]:
            gain = score["gain"]
            size = f"{100 * gain['value']:+.1f} points ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
            console.print(f"{suite}: {size} on {gain['n']} paired tasks, {gain['method']}")
        else:
            console.print(f"{suite}: cannot be compared: {score['why']}")


def _short(value: Any) -> str:
    text = str(value)
    return text[:19] if text.startswith("sha256:") else text[:80]


def _few(names: Sequence[str]) -> str:
    return (", ".join(names[:_NAMES]) + (f" … {len(names) - _NAMES} more" if len(names) > _NAMES else "")) or "none"
