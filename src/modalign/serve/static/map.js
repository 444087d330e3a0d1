// The map of the shared space on a canvas: pictures as points, zoom, lasso, keys, and where the query lies.

import * as api from "./api.js";
import { $, count, make, number, say, tone } from "./dom.js";
import { head, hub, standing } from "./why.js";

const SHAPES = { image: "square", text: "round", audio: "triangle", video: "diamond" };
const LOADS = 6; // pictures fetched at once

export class Atlas {
  constructor(info, act) {
    this.info = info; this.act = act;
    this.canvas = $("canvas"); this.pen = this.canvas.getContext("2d");
    this.space = 0; this.maps = new Map(); this.pictures = new Map(); this.queue = []; this.loading = 0;
    this.view = { x: 0, y: 0, scale: 1 }; this.chosen = new Set(); this.at = null; this.standing = null; this.query = null;
    this.asked = null; this.lasso = null; this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    if (info.spaces.length > 1) {
      const select = make("select", { "aria-label": "Run", on: { change: () => { this.space = Number(select.value); this.chosen.clear(); this.open().then(() => this.follow(this.asked)); } } },
        ...info.spaces.map((s, i) => make("option", { value: String(i) }, s.name)));
      $("which").replaceChildren(select);
    }
  }

  async open() {
    if (!this.maps.has(this.space)) {
      await this.compute(this.space);
    }
    const { points, kept, kept_pca: pca, of, gap } = this.map;
    const shown = points.length; const all = Object.values(of).reduce((a, b) => a + b, 0);
    $("map-facts").textContent = `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} items. The map keeps ${Math.round(100 * kept)} % of each item's ten nearest neighbours (a plain principal-component map ${Math.round(100 * pca)} %, chance ${number(100 * 10 / Math.max(10, shown - 1), 1)} %). Modalities are centred; the gap between them is ${number(gap)} in the space itself.`;
    const present = [...new Set(points.map((p) => p.modality))];
    $("legend").replaceChildren(...present.map((m) => make("li", { tone: m }, make("i", { className: SHAPES[m] === "round" ? "round" : "" }), `${m} (${points.filter((p) => p.modality === m).length})`)));
    this.resize(); this.count();
  }

  // A map of many items takes the server some seconds: say so where people look.
  async compute(space) {
    const items = Object.values(this.info.spaces[space].modalities).reduce((a, b) => a + b, 0);
    $("map-facts").textContent = ""; $("legend").replaceChildren();
    $("wait").textContent = `Computing the map of ${count(items, "item")} …`;
    $("wait").hidden = false;
    this.draw();
    try { this.maps.set(space, await api.atlas(space)); } finally { $("wait").hidden = true; }
  }

  get map() { return this.maps.get(this.space); }

  get points() { return this.map?.points ?? []; }

  // Put the query on the map; null: none.
  async follow(asked) {
    this.asked = asked; this.standing = null; this.query = null;
    if (asked && this.map) {
      const found = await api.standing({ ...asked, spaces: [this.space] });
      this.query = found.query;
      const next = {};
      this.standing = new Map(this.points.map((p) => {
        const i = next[p.modality] ?? 0; next[p.modality] = i + 1;
        const table = found.standing[p.modality];
        return [p, { rank: table.rank[i], of: table.of, cosine: table.cosine[i], chance: { rank: table.expected, cosine: table.mean } }];
      }));
    }
    this.draw();
    if (this.at) this.point(this.at, false);
  }

  // ---------------------------------------------------------------- drawing

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth; this.height = this.canvas.clientHeight;
    if (!this.width) return;
    this.canvas.width = this.width * ratio; this.canvas.height = this.height * ratio;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  place(p) {
    const side = Math.min(this.width, this.height) * 0.94; const { x, y, scale } = this.view;
    return [this.width / 2 + (p.x - 0.5 - x) * side * scale * Math.min(1.6, this.width / this.height), this.height / 2 - (p.y - 0.5 - y) * side * scale];
  }

  spread() { const side = Math.min(this.width, this.height) * 0.94 * this.view.scale; return [side * Math.min(1.6, this.width / this.height), side]; }

  size() { return Math.min(64, 13 * Math.sqrt(this.view.scale)); }

  draw() {
    if (!this.width || !this.map || this.drawing) return;
    this.drawing = requestAnimationFrame(() => { this.drawing = null; this.paint(); });
  }

  paint() {
    const { pen } = this; const style = getComputedStyle(document.body);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    pen.clearRect(0, 0, this.width, this.height);
    const size = this.size(); const label = this.view.scale >= 3.5;
    const top = this.standing ? new Set([...this.standing].filter(([, s]) => s.rank <= (this.asked?.k ?? 12)).map(([p]) => p)) : new Set();
    const names = [];
    this.wanted = [];
    for (const p of this.points) {
      const [x, y] = this.place(p);
      if (x < -40 || y < -40 || x > this.width + 40 || y > this.height + 40) continue;
      const faint = this.standing && !top.has(p) && !this.chosen.has(p);
      pen.globalAlpha = faint ? 0.45 : 1;
      this.shape(p, x, y, size, colour(tone(p.modality)), colour("card"));
      pen.globalAlpha = 1;
      if (top.has(p)) this.ring(x, y, size / 2 + 4, colour("ink"), 2);
      if (p.hub) this.ring(x, y, size / 2 + 2, colour("hub"), 1.5, [3, 2]);
      if (this.chosen.has(p)) this.ring(x, y, size / 2 + 5, colour("main"), 3);
      if (p === this.at) this.ring(x, y, size / 2 + 8, colour("main"), 3, [5, 3]);
      if (label && (p.modality === "text" || this.view.scale > 7)) names.push([p, x, y + size / 2 + 12]);
    }
    this.label(names, colour("ink"));
    if (this.query) this.star(...this.place({ x: this.query[0], y: this.query[1] }), colour("ink"), colour("hub-soft"));
    if (this.lasso?.length > 1) {
      pen.beginPath(); this.lasso.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y))); pen.closePath();
      pen.strokeStyle = colour("main"); pen.lineWidth = 2; pen.setLineDash([6, 4]); pen.stroke(); pen.setLineDash([]);
    }
    this.fetch();
  }

  shape(p, x, y, size, colour, back) {
    const { pen } = this;
    const picture = p.picture && this.pictures.get(p.picture);
    if (picture?.complete && picture.naturalWidth) {
      const half = size / 2 + 1;
      pen.fillStyle = "#fff"; pen.fillRect(x - half, y - half, 2 * half, 2 * half);
      const fit = Math.min(2 * half / picture.naturalWidth, 2 * half / picture.naturalHeight);
      const [w, h] = [picture.naturalWidth * fit, picture.naturalHeight * fit];
      pen.drawImage(picture, x - w / 2, y - h / 2, w, h);
      pen.strokeStyle = colour; pen.lineWidth = 1.2; pen.strokeRect(x - half, y - half, 2 * half, 2 * half);
      return;
    }
    if (p.picture && !this.pictures.has(p.picture)) this.wanted.push(p.picture);
    const r = Math.max(3, Math.min(7, size / 3));
    pen.fillStyle = colour; pen.strokeStyle = back; pen.lineWidth = 1; pen.beginPath();
    const kind = SHAPES[p.modality] ?? "diamond";
    if (kind === "square") pen.rect(x - r, y - r, 2 * r, 2 * r);
    else if (kind === "triangle") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r + 1, y + r); pen.lineTo(x - r - 1, y + r); pen.closePath(); }
    else if (kind === "diamond") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r + 1, y); pen.lineTo(x, y + r + 1); pen.lineTo(x - r - 1, y); pen.closePath(); }
    else pen.arc(x, y, r, 0, 7);
    pen.fill(); pen.stroke();
  }

  // Names, as many as fit without lying on each other.
  label(names, colour) {
    const { pen } = this; const taken = [];
    pen.fillStyle = colour; pen.font = "11px system-ui, sans-serif"; pen.textAlign = "center";
    for (const [p, x, y] of names) {
      const words = p.name.length > 28 ? `${p.name.slice(0, 27)}…` : p.name;
      const half = pen.measureText(words).width / 2 + 3;
      if (taken.some(([a, b, h]) => Math.abs(a - x) < h + half && Math.abs(b - y) < 13)) continue;
      taken.push([x, y, half]);
      pen.fillText(words, x, y);
    }
  }

  ring(x, y, r, colour, width, dash = []) {
    const { pen } = this;
    pen.beginPath(); pen.arc(x, y, r * 1.2, 0, 7); pen.strokeStyle = colour; pen.lineWidth = width; pen.setLineDash(dash); pen.stroke(); pen.setLineDash([]);
  }

  star(x, y, ink, fill) {
    const { pen } = this; pen.beginPath();
    for (let i = 0; i < 10; i += 1) { const r = i % 2 ? 6 : 14; const a = Math.PI * (i / 5 - 0.5); pen.lineTo(x + r * Math.cos(a), y + r * Math.sin(a)); }
    pen.closePath(); pen.fillStyle = fill; pen.fill(); pen.strokeStyle = ink; pen.lineWidth = 2; pen.stroke();
  }

  // Pictures in sight are fetched a few at a time.
  fetch() {
    this.queue = this.wanted.concat();
    while (this.loading < LOADS && this.queue.length) {
      const src = this.queue.shift();
      if (this.pictures.has(src)) continue;
      const picture = new Image();
      this.pictures.set(src, picture); this.loading += 1;
      const done = () => { this.loading -= 1; this.draw(); };
      picture.onload = done; picture.onerror = done; picture.src = src;
    }
  }

  // ---------------------------------------------------------------- pointing

  listen() {
    const { canvas } = this;
    const here = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY * 0.0016), ...here(event)); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, here(event)); this.moved = 0;
      if (this.pointers.size === 1 && (this.lassoing || event.shiftKey)) this.lasso = [here(event)];
    });
    canvas.addEventListener("pointermove", (event) => this.drag(event, here(event)));
    canvas.addEventListener("pointerup", (event) => this.lift(event, here(event)));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("keydown", (event) => this.key(event));
    $("zoom-in").addEventListener("click", () => this.zoom(1.6, ...this.centre()));
    $("zoom-out").addEventListener("click", () => this.zoom(1 / 1.6, ...this.centre()));
    $("zoom-all").addEventListener("click", () => this.whole());
    $("lasso").addEventListener("click", () => {
      this.lassoing = !this.lassoing; $("lasso").setAttribute("aria-pressed", String(this.lassoing)); canvas.classList.toggle("lasso", this.lassoing);
    });
    $("clear").addEventListener("click", () => { this.chosen.clear(); this.count(); });
    $("export-json").addEventListener("click", () => this.save("json"));
    $("export-csv").addEventListener("click", () => this.save("csv"));
  }

  drag(event, [x, y]) {
    const before = this.pointers.get(event.pointerId);
    if (!before) { const p = this.nearest(x, y, 16); if (p && p !== this.at) this.point(p); return; }
    this.moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (this.lasso) this.lasso.push([x, y]);
    else if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      this.zoom(gap([x, y]) / Math.max(1, gap(before)), (x + other[0]) / 2, (y + other[1]) / 2);
    } else {
      const [wide, high] = this.spread();
      this.view.x -= (x - before[0]) / wide; this.view.y += (y - before[1]) / high;
    }
    this.pointers.set(event.pointerId, [x, y]);
    this.draw();
  }

  lift(event, [x, y]) {
    this.pointers.delete(event.pointerId);
    if (this.lasso) {
      const path = this.lasso; this.lasso = null;
      for (const p of this.points) if (inside(this.place(p), path)) this.chosen.add(p);
      this.count();
    } else if (this.moved < 6) {
      const p = this.nearest(x, y, 18);
      if (p) { this.point(p); this.act.why(this.space, p); }
    }
    this.draw();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.max(0.6, Math.min(60, this.view.scale * factor));
    const [wide, high] = this.spread();
    const [ux, uy] = [(x - this.width / 2) / wide, (this.height / 2 - y) / high];
    const change = 1 - this.view.scale / scale;
    this.view.x += ux * change; this.view.y += uy * change; this.view.scale = scale;
    this.draw();
  }

  // What stays in place when buttons and keys zoom: the item pointed at, else the query, where they are in sight.
  centre() {
    const at = this.at ?? (this.query ? { x: this.query[0], y: this.query[1] } : null);
    const [x, y] = at ? this.place(at) : [-1, -1];
    return x > 0 && y > 0 && x < this.width && y < this.height ? [x, y] : [this.width / 2, this.height / 2];
  }

  whole() { this.view = { x: 0, y: 0, scale: 1 }; this.draw(); }

  nearest(x, y, reach) {
    let best = null; let least = reach * reach;
    for (const p of this.points) { const [px, py] = this.place(p); const d = (px - x) ** 2 + (py - y) ** 2; if (d < least) { least = d; best = p; } }
    return best;
  }

  // Show an item in the panel: rank and cosine beside what chance gives.
  point(p, aloud = false) {
    this.at = p;
    const found = this.standing?.get(p);
    const item = found ? { ...p, cosine: found.cosine } : p;
    this.act.panel.replaceChildren(head(item, { from: this.act.from }),
      ...(found ? [standing({ item, ...found })] : [make("p", { className: "quiet" }, "Ask something to see its rank and cosine.")]),
      ...(p.hub ? [hub(true)] : []),
      make("p", {}, make("button", { type: "button", className: "small", on: { click: () => this.act.why(this.space, p) } }, "Why?")));
    if (aloud) say(`${p.name}, ${p.modality}${found ? `, rank ${found.rank} of ${found.of}, cosine ${found.cosine.toFixed(2)}, chance ${found.chance.cosine.toFixed(2)}` : ""}${this.chosen.has(p) ? ", selected" : ""}`);
    this.draw();
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) { event.preventDefault(); this.walk(step); return; }
    const act = {
      "+": () => this.zoom(1.6, ...this.centre()), "=": () => this.zoom(1.6, ...this.centre()), "-": () => this.zoom(1 / 1.6, ...this.centre()), 0: () => this.whole(),
      Enter: () => this.at && this.act.why(this.space, this.at),
      " ": () => { if (this.at) { if (!this.chosen.delete(this.at)) this.chosen.add(this.at); this.count(); this.point(this.at, true); } },
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  }

  walk([sx, sy]) {
    const from = this.at ? this.place(this.at) : [this.width / 2, this.height / 2];
    let best = null; let least = Infinity;
    for (const p of this.points) {
      if (p === this.at) continue;
      const [x, y] = this.place(p); const [dx, dy] = [x - from[0], y - from[1]];
      const along = dx * sx + dy * sy; const aside = Math.abs(dx * sy) + Math.abs(dy * sx);
      if (along <= 0.5 || aside > 1.2 * along) continue;
      if (along + 2 * aside < least) { least = along + 2 * aside; best = p; }
    }
    if (!best) return;
    const [x, y] = this.place(best);
    if (x < 20 || y < 20 || x > this.width - 20 || y > this.height - 20) { this.view.x = best.x - 0.5; this.view.y = best.y - 0.5; }
    this.point(best, true);
  }

  // ---------------------------------------------------------------- the selection

  count() {
    const n = this.chosen.size;
    $("chosen").textContent = n ? `${count(n, "item")} selected` : "";
    for (const id of ["export-json", "export-csv", "clear"]) $(id).disabled = !n;
    if (n) say(`${count(n, "item")} selected`);
    this.draw();
  }

  save(kind) {
    const rows = this.points.filter((p) => this.chosen.has(p)).map((p) => {
      const found = this.standing?.get(p);
      return { id: p.id, modality: p.modality, group: p.group, name: p.name, x: p.x, y: p.y, rank: found?.rank ?? null, cosine: found?.cosine ?? null };
    });
    const text = kind === "json" ? JSON.stringify({ run: this.info.spaces[this.space].name, items: rows }, null, 1) : csv(rows);
    const url = URL.createObjectURL(new Blob([text], { type: kind === "json" ? "application/json" : "text/csv" }));
    make("a", { href: url, download: `selection.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

// Cells that a spreadsheet would take for a formula get a quote in front.
export function csv(rows) {
  const cell = (value) => {
    let text = value === null ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const keys = Object.keys(rows[0] ?? {});
  return [keys.join(","), ...rows.map((row) => keys.map((key) => cell(row[key])).join(","))].join("\r\n");
}

function inside([x, y], path) {
  let odd = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i, i += 1) {
    const [[xi, yi], [xj, yj]] = [path[i], path[j]];
    if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}
