"""The picture of a graph: the same whatever the order, no box on another, no arrow below a box, and text that stays text."""

from __future__ import annotations

import itertools
from random import Random
from xml.etree import ElementTree

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.palette import palette
from loopwright.report.drawing import HEIGHT, WIDTH, Box, layout, svg

NAMES = st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=2), min_size=1, max_size=16, unique=True)


@st.composite
def graphs(draw: st.DrawFn, *, rings: bool) -> tuple[list[str], list[tuple[str, str]]]:
    names = draw(NAMES)
    pairs = [(one, other) for at, one in enumerate(names) for other in (names if rings else names[at + 1 :])]
    return names, draw(st.lists(st.sampled_from(pairs), max_size=40)) if pairs else []


@example((["a", "b", "c", "d", "e", "f", "aa", "ab", "ac", "ad"], [("a", "b"), ("aa", "b")]), Random(0))  # ends on half a pixel
@settings(deadline=None, max_examples=60)
@given(graphs(rings=True), st.randoms(use_true_random=False))
def test_the_same_graph_has_the_same_places_and_boxes_and_lanes_keep_apart(graph, order) -> None:
    names, arrows = graph
    found = layout(names, arrows)
    mixed, turned = order.sample(names, len(names)), order.sample(arrows, len(arrows))
    assert layout(mixed, turned) == found
    boxes = list(found.at.values())
    for at, (x, y) in enumerate(boxes):
        assert WIDTH / 2 <= x <= found.width - WIDTH / 2
        assert HEIGHT / 2 <= y <= found.height - HEIGHT / 2
        for other_x, other_y in boxes[at + 1 :]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
        for lane in found.lanes.values():
            assert all(abs(x - lane_x) > WIDTH / 2 or abs(y - lane_y) > HEIGHT / 2 for lane_x, lane_y in lane)


@settings(deadline=None)
@given(graphs(rings=False))
def test_arrows_lead_on_and_pass_every_rank_between(graph) -> None:
    found = layout(*graph)
    axis, step = (1, HEIGHT) if found.down else (0, WIDTH)
    for (one, other), lane in found.lanes.items():
        stops = [place[axis] for place in (found.at[one], *lane, found.at[other])]
        gaps = {after - before for before, after in itertools.pairwise(stops)}
        assert len(gaps) == 1, "no rank is jumped"
        assert gaps.pop() > step


def test_what_a_record_says_stays_text_in_the_picture() -> None:
    said = '<script>alert(1)</script> & "x"'
    boxes = [Box(id="a", title=said, note="\x00\u202e" + said), Box(id="b", title="b", mark="bad", here=True)]
    drawn = svg(boxes, [("a", "b")], palette("light"), title=said, words=said, way=["a", "b"])
    root = ElementTree.fromstring(drawn)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "desc", "path", "rect", "text"}
    assert root[0].text == said
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert texts[0] == "<script>alert(1)</scrip…", "as far as there is room"
    assert "\u202e" not in drawn
    assert palette("light")["bad"] in drawn
