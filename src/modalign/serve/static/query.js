// The parts of the query as a list of chips: each with a switch for its sign, a slider for its weight, and a way out.

import { make, number } from "./dom.js";

const FULL = 1;

export class Query {
  // place: the list. changed: called with "new" or "weights".
  constructor(place, changed) {
    this.place = place;
    this.tell = changed;
    this.entries = [];
  }

  add(term) { this.entries.push(this.filled(term)); this.draw(); this.tell("new"); }

  only(term) { this.entries = [this.filled(term)]; this.draw(); this.tell("new"); }

  replace(terms) { this.entries = terms.map((t) => this.filled(t)); this.draw(); this.tell("again"); }

  filled(term) { return { ...term, sign: term.sign || 1, weight: Number.isFinite(term.weight) ? term.weight : FULL }; }

  // As the server takes them; full: every weight as if no slider had been moved.
  terms(full = false) {
    return this.entries
      .map((t) => ({ kind: t.kind, value: t.value, thing: t.thing ?? null, weight: t.sign * (full ? FULL : t.weight) }))
      .filter((t) => t.weight !== 0);
  }

  changed() { return this.entries.length > 1 && this.entries.some((t) => t.weight !== FULL); }

  describe() {
    return this.entries.map((t) => `${t.sign < 0 ? "without " : ""}“${t.label}”${t.weight === FULL ? "" : ` at ${Math.round(100 * t.weight)} %`}`).join(", ");
  }

  // Keyboard focus stays at the same control of the same part, or of its neighbour where the part is gone.
  draw() {
    const chips = [...this.place.children];
    const held = chips.findIndex((chip) => chip.contains(document.activeElement));
    const control = held < 0 ? -1 : [...chips[held].querySelectorAll("button, input")].indexOf(document.activeElement);
    this.place.replaceChildren(...this.entries.map((term) => this.chip(term)));
    if (held < 0) return;
    const next = this.place.children[Math.min(held, this.entries.length - 1)];
    (next?.querySelectorAll("button, input")[control] ?? document.getElementById("words")).focus();
  }

  chip(term) {
    const shown = make("output", {}, `${number(term.weight, 1)}`);
    const slider = make("input", {
      type: "range", min: 0, max: 1.5, step: 0.1, value: String(term.weight),
      "aria-label": `Weight of ${term.label}; 0 removes it`,
      on: {
        input: () => { term.weight = Number(slider.value); shown.textContent = number(term.weight, 1); },
        change: () => this.tell("weights"),
      },
    });
    const sign = make("button", {
      type: "button", className: "small", "aria-pressed": String(term.sign < 0), title: "Take it away instead of adding it",
      "aria-label": `Take ${term.label} away`,
      on: { click: () => { term.sign = -term.sign; this.draw(); this.tell("new"); } },
    }, term.sign < 0 ? "−" : "+");
    const out = make("button", {
      type: "button", className: "small", "aria-label": `Remove ${term.label} from the query`,
      on: { click: () => { this.entries = this.entries.filter((t) => t !== term); this.draw(); this.tell("new"); } },
    }, "×");
    return make("li", { className: `term${term.sign < 0 ? " minus" : ""}`, tone: term.modality },
      term.picture ? make("img", { src: term.picture, alt: "" }) : make("span", { className: "badge" }, term.kind === "item" ? term.modality : term.modality),
      make("b", { title: term.label }, term.label),
      make("span", {}, sign, " ", out),
      make("label", { className: "weigh" }, slider, shown));
  }
}
