// Talking to the server: one function for each address. A mistake is thrown with the server's own line.

async function answer(reply) {
  let value = null;
  try { value = await reply.json(); } catch { /* no JSON: told below */ }
  if (!reply.ok || value === null) throw new Error(value?.error || `the server answered ${reply.status}`);
  return value;
}

async function send(address, options) {
  let reply;
  try { reply = await fetch(address, options); } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("the server does not answer: is it still running?");
  }
  return answer(reply);
}

const post = (address, body, signal) => send(address, {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
});

export const info = () => send("/api/info");
export const search = (request, signal) => post("/api/search", request, signal);
export const why = (request) => post("/api/why", request);
export const standing = (request) => post("/api/standing", request);
export const atlas = (space) => send(`/api/map/${space}`);

export function upload(blob, modality, name) {
  const query = new URLSearchParams({ modality, name });
  return send(`/api/upload?${query}`, {
    method: "POST", headers: { "content-type": blob.type || `${modality}/unknown` }, body: blob,
  });
}
