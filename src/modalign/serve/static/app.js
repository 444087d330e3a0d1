// The page: sets itself up from what the server has, keeps the query, asks, and hands answers to the views.

import * as api from "./api.js";
import { $, count, make, problem, say } from "./dom.js";
import { Query } from "./query.js";
import { Recorder } from "./record.js";
import { showColumns, showChanges } from "./results.js";
import { explain } from "./why.js";
import { Atlas } from "./map.js";

const state = { info: null, answers: [], full: null, asked: null, command: "" };
const query = new Query($("terms"), (kind) => ask(kind));
let atlas = null;
let waiting = null;

const encoders = () => new Set(state.info.spaces.flatMap((s) => s.encoders));

function request(terms = query.terms(), spaces = []) {
  const to = [...document.querySelectorAll("#to input:checked")].map((box) => box.value);
  const where = $("where").value.split(/\s*[,;]\s*/).filter(Boolean);
  const k = Math.max(1, Math.min(200, parseInt($("k").value, 10) || 12));
  return { terms, to, k, where, correction: $("correction").value || null, spaces };
}

// kind: "new" for another query, "weights" where only weights moved.
async function ask(kind = "new") {
  const terms = query.terms();
  waiting?.abort();
  if (!query.entries.length) { clear(); return; }
  if (!terms.length) { problem("Every part of the query is turned off."); return; }
  waiting = new AbortController();
  const { signal } = waiting;
  document.body.classList.add("busy");
  problem("");
  try {
    const asked = request(terms);
    const { answers } = await api.search(asked, signal);
    let full = null;
    if (query.changed()) full = (await api.search(request(query.terms(true)), signal)).answers;
    state.answers = answers; state.asked = asked;
    show(full);
    if (kind === "new") remember();
    if (!$("map").hidden) await atlas?.follow(asked);
  } catch (issue) {
    if (issue.name === "AbortError") return;
    problem(issue.message);
    say(issue.message);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

function show(full) {
  $("welcome").replaceChildren();
  const errors = state.answers.filter((a) => a.error);
  if (errors.length) problem(...errors.map((a) => `${state.info.spaces[a.space].name}: ${a.error}`));
  const good = state.answers.filter((a) => !a.error);
  state.command = good.map((a) => a.command).join("\n");
  $("copy").hidden = !state.command;
  showColumns(good, state.info, { from: searchFrom, why: showWhy });
  showChanges(full?.filter((a) => !a.error), good, query.describe(), state.info);
  const first = good[0]?.hits[0];
  say(first ? `${count(good[0].hits.length, "result")} for ${query.describe()}. The best is ${first.name}, cosine ${first.cosine.toFixed(2)}.`
    : "Nothing was found.");
}

function clear() {
  state.answers = []; state.command = "";
  for (const id of ["columns", "differences", "changes"]) $(id).replaceChildren();
  $("copy").hidden = true;
  problem("");
  welcome();
  atlas?.follow(null);
}

function searchFrom(item) {
  query.only({ kind: "item", value: item.id, thing: item.thing, label: item.name, modality: item.modality, picture: item.picture });
  window.scrollTo({ top: 0 });
}

async function showWhy(space, item) {
  if (!query.terms().length) { explain($("panel"), { item }, state.info, { from: searchFrom, add: addItem, why: showWhy, space }); return; }
  try {
    const found = await api.why({ ...request(query.terms(), [space]), id: item.id, thing: item.thing });
    explain($("panel"), found, state.info, { from: searchFrom, add: addItem, why: showWhy, space });
    say(`${found.item.name}: rank ${found.rank} of ${found.of}, chance ${Math.round(found.chance.rank)}; cosine ${found.item.cosine.toFixed(2)}, chance ${found.chance.cosine.toFixed(2)}. Details are in the panel.`);
  } catch (issue) { problem(issue.message); }
}

function addItem(item, weight = 1) {
  query.add({ kind: "item", value: item.id, thing: item.thing, label: item.name, modality: item.modality, picture: item.picture, weight });
}

async function addFile(blob, name) {
  const kinds = encoders();
  const type = (blob.type || "").split("/")[0];
  kinds.delete("text");
  const modality = kinds.has(type) ? type : type === "video" && kinds.has("audio") ? "audio" : null;
  if (!modality) { problem(`'${name}' cannot be searched with: these runs read ${[...kinds].join(", ") || "no files"}.`); return; }
  const limit = state.info.limits[modality] || 16 << 20;
  if (blob.size > limit) { problem(`'${name}' is larger than ${limit >> 20} MiB.`); return; }
  problem("");
  $("hint").textContent = `Reading ${name} …`;
  try {
    const { token } = await api.upload(blob, modality, name);
    const picture = modality === "image" ? URL.createObjectURL(blob) : null;
    query.add({ kind: "upload", value: token, label: name, modality, picture, weight: 1 });
  } catch (issue) { problem(`${name}: ${issue.message}`); say(issue.message); } finally { hint(); }
}

function hint() {
  const kinds = [...encoders()].filter((k) => k !== "text");
  $("hint").textContent = kinds.length ? `or drop or paste it anywhere on this page (${kinds.join(", ")})` : "";
  $("pick").hidden = !kinds.length;
}

function welcome() {
  const place = $("welcome");
  const spaces = state.info.spaces;
  const known = new Set();
  place.replaceChildren(make("p", {}, "Nothing asked yet."), ...spaces.map((s) => {
    const items = Object.entries(s.modalities).map(([m, n]) => `${n.toLocaleString("en")} ${m}`).join(", ");
    const fresh = s.examples.filter((words) => !known.has(words));
    fresh.forEach((words) => known.add(words));
    const starts = [...fresh.map(example), ...s.starts.map(start)];
    return make("div", {}, make("p", {}, `${s.name}: ${items}.${starts.length ? " Try" : ""}`), ...starts);
  }));
}

function example(words) {
  const ask = () => query.only({ kind: "text", value: words, label: words, modality: "text" });
  return make("button", { type: "button", on: { click: ask } }, words);
}

function start(item) {
  return make("button", { type: "button", on: { click: () => searchFrom(item) } }, item.name);
}

// What can be asked again goes into the address, so that back and reload work.
function remember() {
  const kept = query.entries.filter((t) => t.kind !== "upload").map(({ kind, value, thing, label, modality, weight, sign }) => ({ kind, value, thing, label, modality, weight, sign }));
  const hash = `#${encodeURIComponent(JSON.stringify(kept))}`;
  if (kept.length === query.entries.length && location.hash !== hash) history.pushState(null, "", hash);
}

function recall() {
  try {
    const kept = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "[]");
    query.replace(kept.filter((t) => ["text", "item"].includes(t.kind) && typeof t.value === "string"));
  } catch { query.replace([]); }
}

async function openTab(name) {
  for (const other of ["results", "map"]) {
    const here = other === name;
    $(`tab-${other}`).setAttribute("aria-selected", String(here));
    $(`tab-${other}`).tabIndex = here ? 0 : -1;
    $(other).hidden = !here;
  }
  if (name === "map") {
    atlas ??= new Atlas(state.info, { why: showWhy, from: searchFrom, panel: $("panel") });
    try {
      await atlas.open();
      await atlas.follow(query.terms().length ? request() : null);
    } catch (issue) { problem(issue.message); }
  } else if (state.answers.length) show(null);
}

function words(sign) {
  const text = $("words").value.trim();
  if (!text) { $("words").focus(); return; }
  const term = { kind: "text", value: text, label: text, modality: "text", sign };
  if (sign === 0) query.only({ ...term, sign: 1 }); else query.add(term);
  if (sign !== 0) $("words").value = "";
}

function listen() {
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); words(0); });
  $("plus").addEventListener("click", () => words(1));
  $("less").addEventListener("click", () => words(-1));
  $("file").addEventListener("change", (event) => {
    for (const file of event.target.files) addFile(file, file.name);
    event.target.value = "";
  });
  for (const id of ["k", "where", "correction"]) $(id).addEventListener("change", () => ask("new"));
  $("to").addEventListener("change", () => ask("new"));
  $("copy").addEventListener("click", copy);
  for (const name of ["results", "map"]) $(`tab-${name}`).addEventListener("click", () => openTab(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key) || event.target.getAttribute("role") !== "tab") return;
    const other = $("results").hidden ? "results" : "map";
    openTab(other); $(`tab-${other}`).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { event.preventDefault(); $("words").focus(); }
  });
  window.addEventListener("popstate", recall);
  document.addEventListener("paste", (event) => {
    for (const file of event.clipboardData.files) addFile(file, file.name || "pasted");
  });
  let depth = 0;
  document.addEventListener("dragenter", (event) => { if (event.dataTransfer.types.includes("Files")) { depth += 1; $("drop").hidden = false; } });
  document.addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) { depth = 0; $("drop").hidden = true; } });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); depth = 0; $("drop").hidden = true;
    for (const file of event.dataTransfer.files) addFile(file, file.name);
  });
}

async function copy() {
  try { await navigator.clipboard.writeText(state.command); } catch {
    const box = make("textarea", { value: state.command });
    document.body.append(box); box.select(); document.execCommand("copy"); box.remove();
  }
  $("copy").textContent = "Copied"; say("The command is in the clipboard.");
  setTimeout(() => { $("copy").textContent = "Copy command"; }, 1500);
}

function setUp() {
  const { spaces } = state.info;
  document.title = `${spaces.map((s) => s.name).join(" and ")}: modalign search`;
  $("about").textContent = spaces[0].title || spaces.map((s) => s.name).join(" and ");
  $("credit").textContent = [...new Set(spaces.map((s) => s.attribution).filter(Boolean))].join("  ");
  const modalities = [...new Set(spaces.flatMap((s) => Object.keys(s.modalities)))];
  for (const m of modalities) $("to").append(make("label", {}, make("input", { type: "checkbox", value: m }), m));
  for (const key of new Set(spaces.flatMap((s) => s.keys))) $("keys").append(make("option", { value: `${key}=` }));
  const kinds = [...encoders()];
  $("file").accept = kinds.filter((k) => k !== "text").map((k) => `${k}/*`).join(",") + (kinds.includes("image") ? ",.svg" : "");
  for (const id of ["words", "go", "plus", "less"]) $(id).disabled = !kinds.includes("text");
  const files = { image: "a picture", audio: "a sound", video: "a video" };
  const dropped = kinds.filter((k) => files[k]).map((k) => files[k]).join(" or ");
  $("words").placeholder = !kinds.includes("text") ? "These runs read no words: search from an item of the map"
    : dropped ? `Type words, or drop ${dropped}` : "Type words";
  if (kinds.includes("audio") && navigator.mediaDevices && window.MediaRecorder) {
    $("record").hidden = false;
    new Recorder($("record"), (blob, name) => addFile(blob, name), problem);
  }
  hint();
}

try {
  state.info = await api.info();
  setUp();
  listen();
  welcome();
  recall();
} catch (issue) { problem(issue.message); }
