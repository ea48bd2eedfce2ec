// A table of rows to choose from. All text is text; what is ticked, followed or sorted by goes back as codes that were given.
const element = (name, text, kind) => { const made = document.createElement(name); if (text) made.textContent = text; if (kind) made.className = kind; return made; };

function head(column, setTriggerValue) {
  const cell = element("th", column.sort ? "" : column.label, column.right ? "right" : "");
  cell.scope = "col";
  if (!column.sort) return cell;
  if (column.stands) cell.setAttribute("aria-sort", column.stands);
  const act = element("button", column.label, column.stands);
  act.type = "button";
  act.onclick = () => setTriggerValue("sort", column.sort);
  cell.append(act);
  return cell;
}
function box(name, state, { data, setStateValue }) {
  const made = element("input");
  made.type = "checkbox";
  made.checked = state.chosen.has(name);
  made.setAttribute("aria-label", data.words.choose.replace("{name}", name));
  made.onchange = () => {
    if (made.checked && state.chosen.size >= data.most) { made.checked = false; made.title = data.words.full; return; }
    state.chosen[made.checked ? "add" : "delete"](name);
    made.closest("tr").classList.toggle("chosen", made.checked);
    setStateValue("chosen", [...state.chosen]);
  };
  return made;
}
function link(text, at, { data, setTriggerValue }) {
  const made = element("a", text);
  made.href = data.links[at];
  made.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setTriggerValue("open", data.names[at]);
  };
  return made;
}
function line(cells, at, state, component) {
  const { data } = component, made = element("tr", "", state.chosen.has(data.names[at]) ? "chosen" : "");
  const first = element("td", "", "box");
  first.append(box(data.names[at], state, component));
  made.append(first);
  cells.forEach(([text, mark], place) => {
    const column = data.columns[place], kind = [column.right && "right", column.wide && "wide", mark].filter(Boolean).join(" ");
    const cell = element(place ? "td" : "th", place ? text : "", kind);
    if (!place) { cell.scope = "row"; cell.append(link(text, at, component)); }
    if (column.wide) cell.title = text;
    made.append(cell);
  });
  return made;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component, root = parentElement.querySelector(".listing"), told = JSON.stringify(data);
  if (root.told === told) return; // a rerun that changes nothing leaves the focus where it is
  const same = root.names === data.names.join();
  root.told = told;
  root.names = data.names.join();
  root.state = same ? root.state : { chosen: new Set() };
  const table = element("table"), heads = element("tr"), body = element("tbody"), top = element("thead");
  heads.append(element("td", "", "box"), ...data.columns.map((column) => head(column, setTriggerValue)));
  top.append(heads);
  body.append(...data.rows.map((cells, at) => line(cells, at, root.state, component)));
  table.append(top, body);
  const frame = element("div", "", "frame");
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", data.words.table);
  frame.append(table);
  root.replaceChildren(frame);
}
