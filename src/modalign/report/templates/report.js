"use strict";
// The map: the item nearest to the pointer, or chosen with the arrow keys, shows its picture, name and partner.
(() => {
  const map = document.getElementById("map");
  if (!map) return;
  const svg = map.querySelector("svg"), tip = map.querySelector(".tip"), ring = svg.querySelector(".focus-ring");
  const dots = [...svg.querySelectorAll(".dot")].map(e => ({ e, x: +e.dataset.x, y: +e.dataset.y }));
  dots.forEach(d => d.e.querySelector("title").remove()); // our own tooltip takes its place
  const SVG = "http://www.w3.org/2000/svg";
  let current = null;

  function make(name, attributes) {
    const e = document.createElementNS(SVG, name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
  }
  function show(dot) {
    if (dot === current) return;
    current = dot;
    ring.replaceChildren();
    tip.hidden = !dot;
    if (!dot) return;
    const { x, y, e } = dot, other = e.dataset.to && dots.find(d => d.e.id === e.dataset.to);
    if (other) {
      ring.append(make("line", { x1: x, y1: y, x2: other.x, y2: other.y, stroke: "var(--ink)", "stroke-width": 2.5 }));
      ring.append(make("circle", { cx: other.x, cy: other.y, r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 2.5 }));
    }
    ring.append(make("circle", { cx: x, cy: y, r: e.querySelector("use") ? 24 : 9, fill: "none", stroke: "var(--ink)", "stroke-width": 2.5 }));
    const name = document.createElement("b"), note = document.createElement("span");
    name.textContent = e.dataset.name;
    note.textContent = e.dataset.note || "";
    const picture = e.dataset.p || (other && other.e.dataset.p), parts = [];
    if (picture) {
      const image = make("svg", { viewBox: "0 0 96 96", "aria-hidden": "true" });
      image.append(make("use", { href: "#" + picture }));
      parts.push(image);
    }
    tip.replaceChildren(...parts, name, note);
    const box = svg.getBoundingClientRect(), outer = map.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
    const left = box.left - outer.left + x * scale, top = box.top - outer.top + y * scale;
    tip.style.left = Math.max(0, Math.min(left + 18, outer.width - tip.offsetWidth)) + "px";
    tip.style.top = (top + tip.offsetHeight + 30 > outer.height ? top - tip.offsetHeight - 18 : top + 18) + "px";
  }
  function nearest(x, y, reach) {
    let best = null, least = reach * reach;
    for (const d of dots) {
      const far = (d.x - x) ** 2 + (d.y - y) ** 2;
      if (far < least) { least = far; best = d; }
    }
    return best;
  }
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    show(nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale, 26));
  });
  svg.addEventListener("pointerleave", () => show(null));
  map.addEventListener("blur", () => show(null));
  map.addEventListener("keydown", event => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") show(null);
    if (!way) return;
    event.preventDefault();
    if (!current) return show(nearest(540, 370, 1e4));
    let best = null, least = Infinity;
    for (const d of dots) {
      const dx = d.x - current.x, dy = d.y - current.y;
      const along = dx * way[0] + dy * way[1], across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 1 && along + 2 * across < least) { least = along + 2 * across; best = d; }
    }
    if (best) show(best);
  });
})();
