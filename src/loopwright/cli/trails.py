"""What `lineage`, `recall`, `reproduce` and `diff` show in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

if TYPE_CHECKING:
    from loopwright.trace.lineage import Lineage

__all__ = ["show_lineage", "show_recall", "show_recalls"]

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
    for phase, how in edges.get(node, ()):
        if graph.nodes[phase].kind != "phase":
            continue
        for other, other_how in edges.get(phase, ()):
            if not graph.nodes[other].entity:
                continue
            if other in seen or depth == 0:
                continue
            seen.add(other)
            used = how if found.down else other_how
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
        why = f"{via['from']} → {via['phase']} ({via['as']})" if via else "recalled"
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
        f"to train again without it: {len(plan['again'])} cycles {start}, about {plan['cost']['hours']:.2f} h "
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


def _few(names: Sequence[str]) -> str:
    return (", ".join(names[:_NAMES]) + (f" … {len(names) - _NAMES} more" if len(names) > _NAMES else "")) or "none"
