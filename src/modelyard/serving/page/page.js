// Wires the desks, the served models and the answers together.

import { Card, percent } from "./card.js";
import { Pictures } from "./pictures.js";
import { TokenNeeded, servedModels, useToken } from "./server.js";
import { Texts } from "./texts.js";

const POLL_MS = 5000;
const SPEAK_AFTER_MS = 700;
const find = (id) => document.getElementById(id);
const desks = { image: new Pictures(), text: new Texts() }; // by the kind of a model's samples: the list to extend
let groups = new Map(); // data set -> its cards
let listed = ""; // the last answer of /models, to see a promotion
let speech = 0;

/** Read the list of models; rebuild the cards when it changed, for example after a promotion. */
async function refresh() {
  try {
    const models = await servedModels();
    say("problem", "");
    const now = JSON.stringify(models);
    if (now !== listed) {
      listed = now;
      groups = grouped(models);
      offerDatasets();
      showGroup();
    }
  } catch (error) {
    fail(error);
  }
}

/** Data set -> cards; the names of one version share a card. */
function grouped(models) {
  const found = new Map();
  for (const model of models.filter(({ kind }) => desks[kind])) {
    const suffix = `-${model.alias}`;
    const dataset = model.name.endsWith(suffix) ? model.name.slice(0, -suffix.length) : model.name;
    const versions = found.get(dataset) ?? found.set(dataset, new Map()).get(dataset);
    versions.set(model.version, [...(versions.get(model.version) ?? []), model]);
  }
  const card = (served) => new Card(served, desks[served[0].kind], summarise, fail);
  return new Map([...found].map(([dataset, versions]) => [dataset, [...versions.values()].map(card)]));
}

function offerDatasets() {
  const select = find("dataset");
  const chosen = select.value;
  select.replaceChildren(...[...groups.keys()].map((name) => new Option(name, name, false, name === chosen)));
  find("dataset-choice").hidden = groups.size < 2;
}

const cards = () => groups.get(find("dataset").value) ?? [];
const desk = () => cards()[0]?.desk ?? desks.image;

function showGroup() {
  find("cards").replaceChildren(...cards().map((card) => card.element));
  for (const one of Object.values(desks)) one.element.hidden = one !== desk();
  desk().serve(cards(), find("dataset").value);
  update();
}

/** Something was drawn, written, chosen or cleared: ask every model. */
function update() {
  if (desk().empty) cards().forEach((card) => card.forget());
  else cards().forEach((card) => card.ask(desk().sample(card.model)));
  desk().show();
  summarise();
}

/** The headline: what the models say together. */
function summarise() {
  const answered = cards().filter((card) => card.answer);
  const labels = new Set(answered.map((card) => card.answer.label));
  const agreed = labels.size === 1 ? [...labels][0] : null;
  find("cards").ariaBusy = cards().some((card) => card.busy);
  find("label").textContent = agreed ?? "?";
  find("label").classList.toggle("long", (agreed ?? "").length > 2);
  const [title, detail] = headline(answered, agreed);
  say("verdict", title);
  say("detail", detail);
  clearTimeout(speech);
  if (answered.length === cards().length && answered.length) speech = setTimeout(() => say("spoken", `${title}. ${detail}`), SPEAK_AFTER_MS);
}

function headline(answered, agreed) {
  if (!cards().length) return ["No model is served yet", "Train one with “modelyard run”; this page sees it when it is released."];
  if (!answered.length) return desk().waiting;
  const told = answered.map((card) => `${card.title} ${card.answer.label} (${percent(card.answer.probability, 0)})`).join(", ");
  if (agreed === null) return ["The models disagree", told];
  const many = answered.length > 1 ? `${answered.length === 2 ? "Both" : `All ${answered.length}`} models say ${agreed}` : `The model says ${agreed}`;
  return [many, told];
}

function fail(error) {
  if (error instanceof TokenNeeded) find("token-form").hidden = false;
  else say("problem", `No answer from the server: ${error.message}`);
}

function say(id, text) {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text;
  if (element.classList.contains("problem")) element.hidden = !text;
}

function listen() {
  for (const one of Object.values(desks)) {
    one.addEventListener("change", update);
    one.addEventListener("told", ({ detail: { id, text } }) => say(id, text));
    one.addEventListener("failed", ({ detail }) => fail(detail));
  }
  find("dataset").addEventListener("change", showGroup);
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(find("token").value);
    find("token-form").hidden = true;
    refresh();
  });
  listenForFiles();
}

function listenForFiles() {
  const brings = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragover", (event) => { if (brings(event)) { event.preventDefault(); desk().drag(true); } });
  addEventListener("dragleave", () => desk().drag(false));
  addEventListener("drop", (event) => { if (brings(event)) { event.preventDefault(); desk().drag(false); desk().open(event.dataTransfer.files[0]); } });
  addEventListener("paste", (event) => desk().open(event.clipboardData.files[0]));
}

listen();
summarise();
await refresh();
const refreshSeen = () => document.visibilityState === "visible" && refresh();
document.addEventListener("visibilitychange", refreshSeen);
setInterval(refreshSeen, POLL_MS);
