// A person's key in this browser: made here, kept in IndexedDB, never extractable. It signs the bytes that are shown, and nothing else leaves.
const STORE = "keys", NAME = "person", TYPE = "application/vnd.in-toto+json";
const utf8 = new TextEncoder();

const asked = (request) => new Promise((done, fail) => { request.onsuccess = () => done(request.result); request.onerror = () => fail(request.error); });
async function store(mode) {
  const opening = indexedDB.open("loopwright", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  return (await asked(opening)).transaction(STORE, mode).objectStore(STORE);
}
const held = async () => asked((await store("readonly")).get(NAME));
async function made() {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
  await asked((await store("readwrite")).put(pair, NAME));
  return pair;
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const bytesOf = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const textOf = (text) => new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(text));
const hex = (bytes) => [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
const sha256 = async (bytes) => hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  parts.reduce((at, one) => { whole.set(one, at); return at + one.length; }, 0);
  return whole;
}
function sshString(bytes) {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return joined(length, bytes);
}

// RFC 8785: names by UTF-16 code unit, values as ECMAScript writes them.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}
function flat(name, value) {
  if (Array.isArray(value) && value.length) return value.flatMap((one, at) => flat(`${name}[${at}]`, one));
  if (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length)
    return Object.entries(value).flatMap(([key, one]) => flat(name ? `${name}.${key}` : key, one));
  return [[name, JSON.stringify(value)]];
}

async function identity(pair) {
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const kind = utf8.encode("ssh-ed25519");
  return { id: (await sha256(raw)).slice(0, 16), line: `ssh-ed25519 ${base64(joined(sshString(kind), sshString(raw)))}` };
}

// A file that the words name by its digest, as text.
const enclosed = (words) => async (bytes) => {
  const digest = `sha256:${await sha256(bytes)}`, named = words?.files?.find((one) => one.digest === digest);
  if (!named) throw new Error("another file");
  return [named.name, new TextDecoder().decode(bytes)];
};
async function read(letter) {
  const text = textOf(letter.payload), said = JSON.parse(text);
  if (canonical(said) !== text) throw new Error("not canonical");
  const about = letter.about ? textOf(letter.about) : null;
  const named = said.predicate.request ?? said.predicate.digest ?? null;
  if ((about === null ? null : `sha256:${await sha256(utf8.encode(about))}`) !== named && (about !== null || said.predicate.digest)) throw new Error("other words");
  const words = about === null ? null : JSON.parse(about), files = await Promise.all((letter.enclosed ?? []).map(bytesOf).map(enclosed(words)));
  return { said, about: words, files };
}
async function sign(pair, said, moment) {
  if (moment) said.predicate[moment] = new Date().toISOString();
  const payload = utf8.encode(canonical(said));
  const message = joined(utf8.encode(`DSSEv1 ${TYPE.length} ${TYPE} ${payload.length} `), payload);
  const signature = new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, message));
  return { payload: base64(payload), signature: base64(signature) };
}

const element = (name, text, kind) => { const made = document.createElement(name); if (text) made.textContent = text; if (kind) made.className = kind; return made; };
function button(text, kind, act) {
  const made = element("button", text, kind);
  made.type = "button";
  made.onclick = async () => { made.disabled = true; try { await act(); } catch (error) { made.disabled = false; made.after(element("p", String(error), "bad")); } };
  return made;
}
function list(fields, moment, words) {
  const made = element("dl");
  for (const [name, value] of fields) made.append(element("dt", name), element("dd", name === `predicate.${moment}` ? words.moment : value));
  return made;
}

async function draw(root, { data, setStateValue, setTriggerValue }) {
  const { words, letter, known, may, why, label } = data;
  if (!globalThis.crypto?.subtle || !globalThis.indexedDB) return [element("p", words.unsupported, "bad")];
  const pair = await held();
  if (!pair) return [element("p", words.none), button(words.make, "primary", async () => setStateValue("key", await identity(await made())))];
  const mine = await identity(pair);
  if (data.key !== mine.id) { setStateValue("key", mine); return []; }
  if (!known) return [element("p", `${words.unknown} ${mine.id}`)];
  if (!may) return [element("p", why, "bad")];
  if (!letter) return [element("p", words.wait)];
  const told = await read(letter), shown = element("div", "", "shown");
  shown.tabIndex = 0;
  shown.setAttribute("role", "region");
  shown.setAttribute("aria-label", words.exactly);
  if (told.about) shown.append(element("h4", told.said.predicate.request ? words.request : words.words), list(flat("", told.about), null, words));
  for (const [name, text] of told.files) shown.append(element("h4", name), element("pre", text));
  shown.append(element("h4", words.statement), list(flat("", told.said), letter.moment, words));
  const act = button(label, "primary", async () => setTriggerValue("signed", { ...(await sign(pair, told.said, letter.moment)), key: mine.id }));
  return [element("p", words.exactly), shown, act];
}

export default function (component) {
  const root = component.parentElement.querySelector(".signer");
  const turn = (root.turn = (root.turn || 0) + 1);
  draw(root, component).catch((error) => [element("p", `${component.data.words.failed} ${error.message || error}`, "bad")])
    .then((parts) => { if (root.turn === turn) root.replaceChildren(...parts); });
}
