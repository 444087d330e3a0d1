// Answers as grids of cards; two runs side by side with lines between the same items; what changed.

import { $, count, face, make, meter, number } from "./dom.js";

// Rows of equal number are one item only where they show the same thing.
const same = (a, b) => a.id === b.id && a.thing === b.thing;
let redraw = null;

export function showColumns(answers, info, act) {
  const place = $("columns");
  const pair = answers.length > 1;
  place.className = pair ? "columns pair" : "columns";
  document.body.classList.toggle("many", answers.length > 2);
  const held = [...place.querySelectorAll(".column")].findIndex((c) => c.contains(document.activeElement));
  place.replaceChildren(...answers.map((answer) => column(answer, info, act, pair)));
  // Who came here by keyboard goes on at the first of the new results.
  if (held >= 0) place.querySelectorAll(".column")[held]?.querySelector(".open")?.focus({ preventScroll: true });
  $("differences").replaceChildren();
  redraw?.disconnect(); redraw = null;
  if (!pair) return;
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.setAttribute("aria-hidden", "true");
  place.append(lines);
  redraw = new ResizeObserver(() => draw(lines, place, answers));
  redraw.observe(place);
  for (let i = 1; i < answers.length; i += 1) $("differences").append(...differences(answers[i - 1], answers[i], info));
}

function column(answer, info, act, pair) {
  const space = info.spaces[answer.space];
  const head = make("header", {}, make("h2", {}, pair ? space.name : "Results"), make("span", { className: "quiet" }, chanceLine(answer, space)));
  const cards = make("ol", { className: "cards", "aria-label": `Results of ${space.name}`, on: { keydown: move } },
    ...answer.hits.map((hit) => card(hit, answer, act, answer.hits.some((other) => other !== hit && other.name === hit.name))));
  if (!answer.hits.length) cards.append(make("li", { className: "quiet" }, "Nothing meets the filter."));
  const notes = (answer.notes ?? []).map((note) => make("p", { className: "quiet" }, `Note: ${note}`));
  return make("div", { className: "column" }, head, ...notes, cards);
}

function chanceLine(answer, space) {
  const parts = Object.entries(answer.chance).map(([m, c]) => `${m}: a random one of ${c.n.toLocaleString("en")} has cosine ${number(c.mean)} (95 % below ${number(c.high)}) and rank ${Math.round(c.rank).toLocaleString("en")}`);
  const recall = space.recall && ` · ${space.kind} index, ${space.recall}`;
  return `Chance: ${parts.join("; ")}${recall}`;
}

// twin: another result has the same name, so the item's own id is shown too.
function card(hit, answer, act, twin) {
  const chance = answer.chance[hit.modality];
  const picture = hit.video ? make("video", { src: hit.video, poster: hit.picture, controls: true, preload: "none", "aria-label": hit.name }) : face(hit);
  const words = hit.modality === "text"
    ? make("span", { className: "words" }, hit.name) : make("span", { className: "name" }, hit.name);
  const open = make("button", {
    type: "button", className: "open", "aria-label": `${hit.rank}: ${hit.name}, ${hit.modality}, cosine ${hit.cosine.toFixed(2)}, chance ${chance.mean.toFixed(2)}. Search from it`,
    title: "Search from this", on: { click: () => act.from(hit) },
  }, ...(hit.video ? [] : [picture]), words);
  const reason = make("button", { type: "button", className: "small", "aria-label": `Why ${hit.name}?`, on: { click: () => act.why(answer.space, hit) } }, "Why?");
  const foot = make("div", { className: "foot" },
    make("div", { className: "score" }, make("span", {}, "cosine ", make("b", {}, number(hit.cosine))), make("span", {}, `chance ${number(chance.mean)}`)),
    meter(hit.cosine, chance, hit.modality),
    hit.score !== hit.cosine ? make("div", { className: "score" }, `corrected ${number(hit.score, 3)}`) : null,
    hit.hub ? make("div", { className: "hub", title: "Items that are near everything say little" }, `Hub: among the ${hit.hub.k} nearest of ${hit.hub.count} of ${count(hit.hub.queries, "query").replace("querys", "queries")}; chance ${number(hit.hub.expected, 1)}`) : null,
    make("div", { className: "row" }, make("span", { className: "quiet" }, [hit.modality, hit.split, twin ? hit.id : null].filter(Boolean).join(" · ")), reason));
  const node = make("li", { className: "card" }, make("span", { className: "rank", "aria-hidden": "true" }, String(hit.rank)),
    hit.video ? picture : null, open,
    hit.sound ? make("audio", { src: hit.sound, controls: true, preload: "none", "aria-label": hit.name }) : null, foot);
  node.dataset.key = `${hit.modality} ${hit.id}`;
  return node;
}

// Arrow keys go from card to card, as they lie on the page.
function move(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const here = event.target.closest?.(".open");
  if (!step || !here) return;
  const from = here.getBoundingClientRect();
  let best = null; let least = Infinity;
  for (const other of document.querySelectorAll("#columns .open")) {
    if (other === here) continue;
    const box = other.getBoundingClientRect();
    const dx = box.left - from.left; const dy = box.top - from.top;
    const along = dx * step[0] + dy * step[1];
    if (along < 8) continue;
    const cost = along + 4 * Math.abs(dx * step[1] + dy * step[0]);
    if (cost < least) { least = cost; best = other; }
  }
  if (best) { event.preventDefault(); best.focus(); best.scrollIntoView({ block: "nearest" }); }
}

function draw(lines, place, answers) {
  const frame = place.getBoundingClientRect();
  const columns = [...place.querySelectorAll(".column")];
  const paths = [];
  for (let i = 1; i < columns.length; i += 1) {
    const left = answers[i - 1].hits; const right = answers[i].hits;
    const box = (c, hit) => columns[c].querySelector(`[data-key="${CSS.escape(`${hit.modality} ${hit.id}`)}"]`)?.getBoundingClientRect();
    for (const a of left) {
      const b = right.find((hit) => same(hit, a));
      const from = b && box(i - 1, a); const to = b && box(i, b);
      if (!from || !to) continue;
      const [x0, x1] = [from.right, to.left].map((x) => x - frame.left + place.scrollLeft);
      const [y0, y1] = [from.top + from.height / 2 - frame.top, to.top + to.height / 2 - frame.top];
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", `M${x0},${y0} C${(x0 + x1) / 2},${y0} ${(x0 + x1) / 2},${y1} ${x1},${y1}`);
      path.setAttribute("class", b.rank < a.rank ? "up" : b.rank > a.rank ? "down" : "");
      paths.push(path);
    }
  }
  lines.replaceChildren(...paths);
}

// What left, what came and what moved from one list to another.
export function compare(before, after) {
  const gone = before.filter((a) => !after.some((b) => same(a, b)));
  const came = after.filter((b) => !before.some((a) => same(a, b)));
  const moved = before.map((a) => [a, after.find((b) => same(a, b))]).filter(([a, b]) => b && a.rank !== b.rank);
  return { gone, came, moved, kept: before.length - gone.length };
}

const items = (hits, text) => make("ul", {}, ...(hits.length ? hits.map((hit) => make("li", {}, text(hit))) : [make("li", { className: "quiet" }, "none")]));

function differences(a, b, info) {
  const { gone, came, moved, kept } = compare(a.hits, b.hits);
  const [left, right] = [info.spaces[a.space].name, info.spaces[b.space].name];
  const n = Math.max(1, ...Object.values(a.chance).map((c) => c.n));
  const expected = a.hits.length * b.hits.length / n;
  return [
    make("section", {}, make("h2", {}, `${kept} of ${a.hits.length} in both`), make("p", { className: "quiet" }, `chance ${number(expected, 1)}; lines join them, green ones rise from left to right`),
      items(moved, ([x, y]) => `${x.name}: ${x.rank} → ${y.rank}`)),
    make("section", {}, make("h2", {}, `Only in ${left}`), items(gone, (hit) => `${hit.rank}: ${hit.name}`)),
    make("section", {}, make("h2", {}, `Only in ${right}`), items(came, (hit) => `${hit.rank}: ${hit.name}`)),
  ];
}

export function showChanges(full, now, described, info) {
  const place = $("changes");
  place.replaceChildren();
  for (const answer of full ? now : []) {
    const before = full.find((other) => other.space === answer.space);
    if (!before) continue;
    const { gone, came, moved } = compare(before.hits, answer.hits);
    const names = (hits) => hits.map((hit) => hit.name).join(", ");
    const whose = now.length > 1 ? `${info.spaces[answer.space].name}: ` : "";
    place.append(make("div", { className: "notice" },
      make("b", {}, `${whose}${came.length} of ${answer.hits.length} results are others than with every part at full weight`), ` (${described})`,
      make("ul", {},
        came.length ? make("li", {}, make("b", { className: "came" }, "came: "), names(came)) : null,
        gone.length ? make("li", {}, make("b", { className: "gone" }, "left: "), names(gone)) : null,
        moved.length ? make("li", {}, `moved: ${moved.map(([a, b]) => `${a.name} ${a.rank} → ${b.rank}`).join(", ")}`) : null)));
    const column = document.querySelectorAll("#columns .column")[now.indexOf(answer)];
    for (const hit of came) column.querySelector(`[data-key="${CSS.escape(`${hit.modality} ${hit.id}`)}"]`)?.classList.add("fresh");
  }
}
