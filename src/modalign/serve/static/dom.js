// Small helpers. Everything that comes from data is set as text or as a property, never as markup.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (key === "tone") node.style.setProperty("--tone", `var(--${tone(value)})`);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const tone = (modality) => (["image", "text", "audio", "video"].includes(modality) ? modality : "other");

export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

export const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−") : "–");

// A cosine as a bar over [-1, 1] cut at the left: filled to the value, a line where chance is, hatched to its 95th percentile.
export function meter(value, chance, modality) {
  const place = (v) => Math.max(0, Math.min(100, 100 * (v + 0.25) / 1.25));
  const bar = make("div", { className: "bar", tone: modality });
  const fill = make("i"); fill.style.width = `${place(value)}%`;
  bar.append(fill);
  if (chance) {
    if (chance.high !== undefined) {
      const band = make("u"); band.style.left = `${place(chance.mean)}%`;
      band.style.width = `${Math.max(0, place(chance.high) - place(chance.mean))}%`;
      bar.append(band);
    }
    const line = make("s"); line.style.left = `${place(chance.mean)}%`;
    bar.append(line);
  }
  bar.setAttribute("aria-hidden", "true");
  return bar;
}

export function face(item, large = false) {
  if (item.picture) {
    const src = large ? `${item.picture}${item.picture.includes("?") ? "&" : "?"}size=large` : item.picture;
    return make("img", { src, alt: item.name, loading: "lazy", decoding: "async" });
  }
  return null;
}

export function say(words) { $("status").textContent = words; }

// What went wrong, a line each; nothing: all is well.
export function problem(...lines) {
  const said = lines.filter(Boolean);
  $("problem").replaceChildren(...said.map((line) => make("span", {}, line)));
  $("problem").hidden = !said.length;
}
