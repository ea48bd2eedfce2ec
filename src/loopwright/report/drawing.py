"""A graph as boxes in ranks: where each stands, and the same picture as SVG for documents. The dashboard draws from the same places.

Pure and deterministic: the same boxes and arrows, in any order, give the same places. No two boxes overlap, no arrow runs below a box,
and arrows lead on (down, or to the right where a rank is wide), except those that close a ring.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

__all__ = ["HEIGHT", "WIDTH", "Arrow", "Box", "Layout", "Place", "layout", "short", "svg"]

WIDTH, HEIGHT = 176, 46
"""Of a box, in pixels."""
_ON, _BESIDE = {True: 34, False: 56}, {True: 22, False: 14}
"""Between ranks, and between boxes of a rank; by whether the picture leads down."""
_LANE = 10
"""What an arrow takes that passes a rank."""
_WIDEST = 5
"""Boxes in a rank beside each other; where one has more, the picture leads to the right."""
_SWEEPS = 6
_LETTERS = 24
"""Of a line in a box."""

Arrow = tuple[str, str]
Place = tuple[int, int]
"""Pixels from the picture's upper left corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What is drawn of one thing."""

    id: str
    title: str
    note: str = ""
    """A second line."""
    round: bool = False
    """Something that was done, not something that is there."""
    mark: str = ""
    """A colour's name in the palette for its edge."""
    here: bool = False
    """What the picture is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything stands."""

    at: Mapping[str, Place]
    """The middle of each box."""
    lanes: Mapping[Arrow, tuple[Place, ...]]
    """Of each arrow: where it passes the ranks between."""
    down: bool
    """The picture leads down, else to the right."""
    width: int
    height: int


_Item = tuple[str, ...]
"""A box's (name), or an arrow's (one, other, rank) where it passes a rank."""


def layout(names: Iterable[str], arrows: Iterable[Arrow]) -> Layout:
    """Ranks by the longest way to each box; in a rank those near each other that hang together."""
    order = sorted(set(names))
    inside = set(order)
    kept = sorted({(one, other) for one, other in arrows if one in inside and other in inside and one != other})
    ranks = _ranks(order, kept)
    rows: list[list[_Item]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in order:
        rows[ranks[name]].append((name,))
    beside: dict[_Item, list[_Item]] = {}
    lanes: dict[Arrow, list[_Item]] = {}
    for one, other in kept:
        passing: list[_Item] = [(one, other, str(rank)) for rank in range(ranks[one] + 1, ranks[other])]
        for rank, item in enumerate(passing, ranks[one] + 1):
            rows[rank].append(item)
        chain: list[_Item] = [(one,), *passing, (other,)]
        for before, after in pairwise(chain):
            beside.setdefault(before, []).append(after)
            beside.setdefault(after, []).append(before)
        lanes[one, other] = passing
    down = max((sum(len(item) == 1 for item in row) for row in rows), default=0) <= _WIDEST
    _untangle(rows, beside)
    return _placed(rows, beside, lanes, down=down)


def _placed(
    rows: Sequence[Sequence[_Item]], beside: Mapping[_Item, Sequence[_Item]], lanes: Mapping[Arrow, Sequence[_Item]], *, down: bool
) -> Layout:  # fmt: skip
    size, on = (WIDTH, HEIGHT) if down else (HEIGHT, WIDTH)
    across = _across(rows, beside, size, _BESIDE[down])
    left = min((place - _long(item, size) / 2 for item, place in across.items()), default=0.0)
    at = dict[_Item, Place]()
    for rank, row in enumerate(rows):
        for item in row:
            place, middle = round(across[item] - left), rank * (on + _ON[down]) + on // 2
            at[item] = (place, middle) if down else (middle, place)
    longest = max((round(place - left) + _long(item, size) // 2 for item, place in across.items()), default=0)
    deep = max(0, len(rows) * (on + _ON[down]) - _ON[down])
    return Layout(
        at={item[0]: place for item, place in at.items() if len(item) == 1},
        lanes={arrow: tuple(at[item] for item in passing) for arrow, passing in lanes.items()}, down=down,
        width=longest if down else deep, height=deep if down else longest,
    )  # fmt: skip


def _across(
    rows: Sequence[Sequence[_Item]], beside: Mapping[_Item, Sequence[_Item]], size: int, gap: int
) -> dict[_Item, float]:
    """Where each item stands in its rank: as near to the middle of what it hangs together with as the order and the gaps allow."""
    at = {item: float(place * (size + gap)) for row in rows for place, item in enumerate(row)}
    rank = {item: number for number, row in enumerate(rows) for item in row}
    for sweep in range(_SWEEPS + 1):  # the last one goes on: what has one line into it stands straight below
        step = -1 if sweep % 2 == 0 else 1
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            near = [[at[other] for other in beside.get(item, ()) if rank[other] == rank[item] + step] for item in row]
            wanted = [sum(told) / len(told) if told else at[item] for told, item in zip(near, row, strict=True)]
            apart = [(_long(one, size) + _long(other, size)) / 2 + gap for one, other in pairwise(row)]
            first, last = list(wanted), list(wanted)
            for place in range(1, len(row)):
                first[place] = max(first[place], first[place - 1] + apart[place - 1])
            for place in range(len(row) - 2, -1, -1):
                last[place] = min(last[place], last[place + 1] - apart[place])
            at |= {item: (one + other) / 2 for item, one, other in zip(row, first, last, strict=True)}  # both keep the gaps
    return at


def _long(item: _Item, size: int) -> int:
    return size if len(item) == 1 else _LANE


def _ranks(order: Sequence[str], arrows: Sequence[Arrow]) -> dict[str, int]:
    """The longest way to each; a ring is cut at the box that has the fewest arrows into it still, then by name."""
    after: dict[str, list[str]] = {name: [] for name in order}
    left: dict[str, set[str]] = {name: set() for name in order}
    for one, other in arrows:
        after[one].append(other)
        left[other].add(one)
    led_to = {other for _, other in arrows}
    ranks, waiting = dict.fromkeys(order, 0), dict.fromkeys(order)
    while waiting:
        name = min(waiting, key=lambda one: (len(left[one]), one))
        del waiting[name]
        for other in after[name]:
            if other in waiting:
                ranks[other] = max(ranks[other], ranks[name] + 1)
                left[other].discard(name)
    for name in order:  # what nothing leads to stands just before what it leads to
        if name not in led_to and after[name]:
            ranks[name] = max(0, min(ranks[other] for other in after[name]) - 1)
    return ranks


def _untangle(rows: Sequence[list[_Item]], beside: Mapping[_Item, Sequence[_Item]]) -> None:
    """Order each rank by where its neighbours stand, there and back a few times; then swap those beside each other that cross less so."""
    for sweep in range(_SWEEPS):
        at = {item: (place + 0.5) / len(row) for row in rows for place, item in enumerate(row)}
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            inside = set(row)
            near = {item: [at[other] for other in beside.get(item, ()) if other not in inside] for item in row}
            middle = {item: sum(told) / len(told) if told else at[item] for item, told in near.items()}
            row.sort(key=lambda item, middle=middle: (middle[item], item))
            at |= {item: (place + 0.5) / len(row) for place, item in enumerate(row)}
    for _ in range(_SWEEPS):
        for row, above, below in zip(rows, [[], *rows], [*rows[1:], []], strict=False):
            sides = [{item: place for place, item in enumerate(side)} for side in (above, below)]
            for place in range(len(row) - 1):
                one, other = row[place], row[place + 1]
                if _crossings(one, other, sides, beside) > _crossings(other, one, sides, beside):
                    row[place], row[place + 1] = other, one


def _crossings(one: _Item, other: _Item, sides: Sequence[Mapping[_Item, int]], beside: Mapping[_Item, Sequence[_Item]]) -> int:
    """Of the lines of two items of a rank, the first before the second."""
    found = 0
    for side in sides:
        left, right = ([side[end] for end in beside.get(item, ()) if end in side] for item in (one, other))
        found += sum(a > b for a in left for b in right)
    return found


def svg(
    boxes: Sequence[Box],
    arrows: Sequence[Arrow],
    colours: Mapping[str, str],
    *,
    title: str,
    words: str,
    way: Collection[str] = (),
) -> str:
    """The picture as one SVG with title and description; ``way``: boxes that are drawn stronger. Nothing in it is fetched or runs."""
    found, strong = layout((box.id for box in boxes), arrows), set(way)
    lines = [_arrow(found, arrow, colours, strong=set(arrow) <= strong) for arrow in found.lanes]
    drawn = [_box(box, found.at[box.id], colours, strong=box.id in strong) for box in boxes]
    width, height = found.width + 8, found.height + 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-4 -4 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}" font-family="Inter, Europe, sans-serif"><title>{escape(title)}</title><desc>{escape(words)}</desc>'
    )
    return "".join((head, *lines, *drawn, "</svg>"))


def _arrow(found: Layout, arrow: Arrow, colours: Mapping[str, str], *, strong: bool) -> str:
    """Straight on, across between two ranks, straight on."""
    half = (HEIGHT if found.down else WIDTH) // 2
    turn = _ON[found.down] // 2
    points = [found.at[arrow[0]], *found.lanes[arrow], found.at[arrow[1]]]
    x, y = points[0]
    path = [f"M{x} {y}"]
    for x, y in points[1:]:
        path.append(f"V{y - half - turn}H{x}V{y}" if found.down else f"H{x - half - turn}V{y}H{x}")
    to_x, to_y = (x, y - half) if found.down else (x - half, y)
    head = (
        f"M{to_x - 4} {to_y - 6}L{to_x} {to_y}L{to_x + 4} {to_y - 6}"
        if found.down
        else f"M{to_x - 6} {to_y - 4}L{to_x} {to_y}L{to_x - 6} {to_y + 4}"
    )
    colour, width = (colours["primary"], 2) if strong else (colours["quiet"], 1)
    return f'<path d="{"".join(path)}{head}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _box(box: Box, place: Place, colours: Mapping[str, str], *, strong: bool) -> str:
    x, y = place[0] - WIDTH // 2, place[1] - HEIGHT // 2
    edge = colours.get(box.mark) or colours["primary" if box.here or strong else "line"]
    corner = HEIGHT // 2 if box.round else 4
    shape = (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="{corner}" fill="{colours["raised" if box.round else "ground"]}" '
        f'stroke="{edge}" stroke-width="{3 if box.here or box.mark or strong else 1}"/>'
    )
    ways = ((box.title, 19 if box.note else 28, "ink", 13, 600), (box.note, 35, "quiet", 11, 400))
    lines = [
        f'<text x="{place[0]}" y="{y + down}" text-anchor="middle" fill="{colours[colour]}" font-size="{size}" font-weight="{weight}">{escape(short(text))}</text>'
        for text, down, colour, size, weight in ways
        if text
    ]
    return "".join((shape, *lines))


def short(text: str) -> str:
    """As much of a line as a box has room for, without control characters."""
    told = "".join(letter if letter.isprintable() else " " for letter in text)
    return told if len(told) <= _LETTERS else told[: _LETTERS - 1] + "…"
