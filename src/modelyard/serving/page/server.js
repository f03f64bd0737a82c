// What the page asks of the server: the list of models and the Open Inference Protocol V2.

export class TokenNeeded extends Error {}

let token = "";

/** Use this bearer token from now on; it is kept in memory only. */
export function useToken(value) {
  token = value;
}

/** The served models, as `GET /models` lists them. */
export async function servedModels() {
  const listed = await ask("models", {});
  return listed.filter((model) => model.ready);
}

/** Probabilities [K] for one row of V2's input, and the milliseconds from request to parsed answer. */
export async function infer(name, input) {
  const body = JSON.stringify({ inputs: [input], outputs: [{ name: "probabilities" }] });
  const start = performance.now();
  const answer = await ask(`v2/models/${encodeURIComponent(name)}/infer`, { method: "POST", body });
  return { probabilities: answer.outputs[0].data, ms: performance.now() - start };
}

/** The same for a text. */
export async function predict({ name, classes }, text) {
  const body = new Blob([text], { type: "text/plain" });
  const start = performance.now();
  const { probabilities } = await ask(`predict?model=${encodeURIComponent(name)}`, { method: "POST", body });
  return { probabilities: classes.map((label) => probabilities[label]), ms: performance.now() - start };
}

/** Why the answer for a picture (a Blob in the model's own size) may be worthless, or "". */
export async function doubt(name, picture) {
  const { warnings = [] } = await ask(`predict?model=${encodeURIComponent(name)}`, { method: "POST", body: picture });
  return warnings.join("; ");
}

async function ask(path, options) {
  const headers = { ...(options.body && { "Content-Type": options.body.type ?? "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(10_000) });
  if (response.status === 401) throw new TokenNeeded("the server asks for a token");
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `${path} answered ${response.status}`);
  return answer;
}
