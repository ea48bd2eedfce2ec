"""The picture of a graph in the page: cytoscape with the places that `loopwright.report.drawing` gives. A click says which box.

The library lies in ``static/`` and is loaded from this server alone. What boxes say is drawn on a canvas, where nothing is markup.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app.palette import palette
from loopwright.report.drawing import HEIGHT, WIDTH, Arrow, Box, Layout, Place, layout, short

__all__ = ["draw_graph"]

_LIBRARY = "app/static/cytoscape.esm.min.mjs"
_TALLEST = 640
_JS = """
const libraries = new Map();
function library(address) {
  if (!libraries.has(address)) libraries.set(address, (async () => {
    const source = await (await fetch(address)).text();  // served as plain text: made a module here
    return (await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})))).default;
  })());
  return libraries.get(address);
}
export default async function ({parentElement, data, setTriggerValue}) {
  const box = parentElement.querySelector('.loopwright-graph');
  const told = JSON.stringify(data);
  if (box.told === told) return;
  box.told = told;
  box.setAttribute('aria-label', data.words);
  box.style.height = Math.min(data.height, Math.max(260, 0.7 * window.innerHeight)) + 'px';
  const cytoscape = await library(new URL(data.library, window.location.origin).href);
  if (box.told !== told) return;
  if (box.graph) box.graph.destroy();
  const c = data.colours;
  const graph = cytoscape({
    container: box, elements: data.elements, layout: {name: 'preset'}, minZoom: 0.2, maxZoom: 1,
    userZoomingEnabled: false, boxSelectionEnabled: false, autoungrabify: true, autounselectify: true,
    style: [
      {selector: 'node', style: {shape: 'round-rectangle', width: data.width, height: data.tall, 'background-color': c.ground, 'border-width': 1,
        'border-color': c.line, label: 'data(label)', 'text-wrap': 'wrap', 'text-valign': 'center', 'font-family': 'Inter, sans-serif',
        'font-size': 12, 'line-height': 1.25, color: c.ink, 'text-max-width': data.width - 8}},
      {selector: 'node.round', style: {'corner-radius': data.tall / 2, 'background-color': c.raised}},
      {selector: 'node.bad', style: {'border-color': c.bad, 'border-width': 3, color: c.bad}},
      {selector: 'node.good', style: {'border-color': c.good, 'border-width': 3}},
      {selector: 'node.here', style: {'border-color': c.primary, 'border-width': 4}},
      {selector: 'node.here.bad', style: {'border-color': c.bad, 'border-width': 5}},
      {selector: 'node.via', style: {width: 1, height: 1, 'border-width': 0, 'background-opacity': 0, label: '', events: 'no'}},
      {selector: 'edge', style: {width: 1.2, 'line-color': c.quiet, 'target-arrow-color': c.quiet, 'target-arrow-shape': 'none', 'arrow-scale': 0.8,
        'curve-style': 'round-taxi', 'taxi-direction': data.down ? 'downward' : 'rightward', 'taxi-turn': '50%', 'taxi-turn-min-distance': 4, 'line-cap': 'square'}},
      {selector: 'edge.end', style: {'target-arrow-shape': 'triangle'}},
      {selector: '.way', style: {'border-color': c.primary, 'border-width': 3, 'line-color': c.primary, 'target-arrow-color': c.primary}},
      {selector: 'edge.way', style: {width: 2.6}},
      {selector: '.dim', style: {opacity: 0.35}},
    ],
  });
  box.graph = graph;
  const fit = () => {
    graph.resize();
    graph.fit(undefined, 14);
    const small = graph.zoom() < 0.6;
    if (small) {  // as large as can be read, what the picture is about in sight, and no empty room where there is more to see
      graph.zoom(0.85);
      graph.center(graph.nodes('.here'));
      const seen = graph.elements().renderedBoundingBox(), pan = graph.pan();
      const into = (low, high, room) => high - low < room ? (room - low - high) / 2 : low > 14 ? 14 - low : high < room - 14 ? room - 14 - high : 0;
      graph.pan({x: pan.x + into(seen.x1, seen.x2, graph.width()), y: pan.y + into(seen.y1, seen.y2, graph.height())});
    }
    graph.userPanningEnabled(small);
    box.style.touchAction = small ? 'none' : 'auto';
  };
  const show = (ids) => graph.batch(() => {
    graph.elements().removeClass('way dim');
    if (ids.length < 2) return;
    graph.elements().addClass('dim');
    ids.forEach((id) => graph.getElementById(id).removeClass('dim').addClass('way'));
    const on = new Set(ids.slice(1).map((id, at) => [ids[at], id].sort().join(' ')));
    graph.edges().filter((edge) => on.has(edge.data('pair'))).removeClass('dim').addClass('way');
  });
  fit();
  show(data.way);
  graph.on('mouseover', 'node', (event) => { show(event.target.data('way')); box.style.cursor = event.target.data('go') ? 'pointer' : 'default'; });
  graph.on('mouseout', 'node', () => { show(data.way); box.style.cursor = 'default'; });
  graph.on('tap', 'node', (event) => { if (event.target.data('go')) setTriggerValue('go', event.target.data('go')); });
  const watch = new ResizeObserver(fit);
  watch.observe(box);
  return () => { watch.disconnect(); graph.destroy(); box.graph = null; box.told = ''; };
}
"""
_CSS = ".loopwright-graph { position: relative; width: 100%; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); }"
_HTML = '<div class="loopwright-graph" role="img"></div>'


def draw_graph(
    boxes: Sequence[Box], arrows: Sequence[Arrow], *, words: str, dark: bool, ways: Mapping[str, Sequence[str]], way: Sequence[str],
    go: Mapping[str, str], on_go: Callable[[str], None], key: str,
) -> None:  # fmt: skip
    """Draw it; ``on_go`` is called with what ``go`` holds for the box that somebody clicks. ``ways``: what is drawn stronger while a pointer is on a box."""
    found = layout((box.id for box in boxes), arrows)
    nodes = [
        {
            "data": {"id": box.id, "label": "\n".join(short(line) for line in (box.title, box.note) if line), "way": list(ways.get(box.id, ())), "go": go.get(box.id, "")},
            "position": _point(found.at[box.id]),
            "classes": " ".join(name for name, there in (("round", box.round), ("here", box.here), (box.mark, bool(box.mark))) if there),
        }
        for box in boxes
    ]  # fmt: skip
    colours = {name: value for name, value in palette("dark" if dark else "light").items() if isinstance(value, str)}
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    data: dict[str, Any] = {
        "elements": [*nodes, *_lines(found)], "words": words, "colours": colours, "way": list(way), "width": WIDTH, "tall": HEIGHT, "down": found.down,
        "height": max(160, min(_TALLEST, found.height + 40)), "library": f"/{base}/{_LIBRARY}" if base else f"/{_LIBRARY}",
    }  # fmt: skip

    def clicked() -> None:
        if target := getattr(st.session_state.get(key), "go", None):
            on_go(target)

    mount = st.components.v2.component("loopwright_graph", html=_HTML, css=_CSS, js=_JS)
    mount(data=data, key=key, on_go_change=clicked)


def _point(place: Place) -> dict[str, int]:
    return {"x": place[0], "y": place[1]}


def _lines(found: Layout) -> list[dict[str, Any]]:
    """Arrows; one that passes a rank goes through points of its own, which are no boxes."""
    drawn: list[dict[str, Any]] = []
    for number, ((one, other), lane) in enumerate(found.lanes.items()):
        points = [f"via {number} {at}" for at in range(len(lane))]
        drawn += [
            {"data": {"id": name}, "position": _point(place), "classes": "via"}
            for name, place in zip(points, lane, strict=True)
        ]
        chain = [one, *points, other]
        drawn += [
            {"data": {"id": f"line {number} {at}", "source": before, "target": after, "pair": " ".join(sorted((one, other)))}, "classes": "end" if after == other else ""}
            for at, (before, after) in enumerate(itertools.pairwise(chain))
        ]  # fmt: skip
    return drawn
