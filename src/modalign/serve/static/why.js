// The side panel: what an item is, where it stands, and why it matched.

import { count, face, make, meter, number } from "./dom.js";

export function explain(panel, found, info, act) {
  const { item } = found;
  const parts = [head(item, act)];
  if (found.rank !== undefined) parts.push(standing(found));
  if (item.hub) parts.push(hub(item.hub));
  if (found.terms) parts.push(shares(found));
  if (found.path) parts.push(path(found.path));
  else if (found.path === null) parts.push(make("p", { className: "quiet" }, "No path of neighbours joins the query to it."));
  if (found.near_result) parts.push(...neighbours(found, info, act));
  panel.replaceChildren(...parts);
}

export function head(item, act) {
  const buttons = make("p", {},
    make("button", { type: "button", className: "small", on: { click: () => act.from(item) } }, "Search from this"), " ",
    act.add ? make("button", { type: "button", className: "small", on: { click: () => act.add(item) } }, "Add to query") : null, " ",
    act.add ? make("button", { type: "button", className: "small", on: { click: () => act.add(item, -1) } }, "Without") : null);
  return make("div", {},
    make("div", { className: "face" }, face(item), make("div", {}, make("h2", {}, item.name), make("span", { className: "quiet" }, `${item.modality} · ${item.id}`))),
    item.sound ? make("audio", { src: item.sound, controls: true, preload: "none" }) : null, buttons);
}

export function standing({ item, rank, of, chance }) {
  return make("div", {},
    make("dl", {},
      make("dt", {}, "rank"), make("dd", {}, `${rank.toLocaleString("en")} of ${of.toLocaleString("en")} (chance ${Math.round(chance.rank).toLocaleString("en")})`),
      make("dt", {}, "cosine"), make("dd", {}, `${number(item.cosine)} (chance ${number(chance.cosine)})`)),
    meter(item.cosine, { mean: chance.cosine }, item.modality));
}

export const hub = (facts) => (facts === true
  ? make("p", { className: "hub" }, "Hub: near far more queries than chance gives.")
  : make("p", { className: "hub" }, `Hub: among the ${facts.k} nearest of ${facts.count} of ${facts.queries.toLocaleString("en")} queries, where chance gives ${number(facts.expected, 1)}. It matches much, so it says little; a correction against hubs is among the options.`));

function shares({ terms, chance }) {
  const rows = terms.map((t) => {
    const label = t[t.kind];
    return make("div", { className: "share" }, make("span", {}, `${t.weight < 0 ? "without " : ""}${label}`),
      make("span", {}, `${t.share >= 0 ? "+" : ""}${number(t.share)}`), meter(t.cosine, { mean: chance.cosine }, t.kind));
  });
  return make("section", {}, make("h3", {}, "What each part of the query adds to the cosine"), ...rows,
    make("p", { className: "quiet" }, `bars: cosine of the part alone; the line is chance (${number(chance.cosine)})`));
}

function path({ steps, length, direct, chance }) {
  const list = make("ol", { className: "path" }, ...steps.map((step) => make("li", { tone: step.item?.modality },
    step.item ? face(step.item) : null, make("span", {}, step.item ? step.item.name : "the query"),
    step.cosine === null ? null : make("small", {}, `cosine ${number(step.cosine)}`))));
  const words = `Geodesic path: ${count(steps.length - 1, "step")}`;
  return make("section", {}, make("h3", {}, words), list,
    make("p", { className: "quiet" }, `length ${number(length)} through nearest neighbours, ${number(direct)} straight; a random item: ${number(chance)}`));
}

function neighbours(found, info, act) {
  const space = info.spaces[act.space];
  const row = (title, table, note) => Object.entries(table).map(([m, near]) => make("section", {}, make("h3", {}, `${title}: ${m}`), make("p", { className: "quiet" }, note(m)),
    make("ul", { className: "near" }, ...near.map((item) => make("li", {}, make("button", { type: "button", title: `${item.name}, cosine ${number(item.cosine)}`, on: { click: () => act.why(act.space, item) } },
      face(item), make("span", {}, item.name), make("span", { className: "quiet" }, number(item.cosine))))))));
  const cosine = (m, side) => `cosine of a random one: ${number(found.near_chance[m][side])}`;
  const shared = (m) => `${found.shared[m]} of 5 are also near the query (chance ${number(25 / Math.max(5, space.modalities[m]), 2)}); ${cosine(m, "result")}`;
  return [...row("Nearest to it", found.near_result, shared), ...row("Nearest to the query", found.near_query, (m) => cosine(m, "query"))];
}
