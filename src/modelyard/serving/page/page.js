// Wires the drawing area, the served models and the answers together.

import { Card, percent } from "./card.js";
import { Drawing } from "./drawing.js";
import { framing, pixelsOfPicture, pixelsOfStrokes } from "./pixels.js";
import { SAMPLES } from "./samples.js";
import { TokenNeeded, doubt, servedModels, useToken } from "./server.js";

const POLL_MS = 5000;
const SPEAK_AFTER_MS = 700;
const find = (id) => document.getElementById(id);
const drawing = new Drawing(find("drawing"));
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
  for (const model of models) {
    const suffix = `-${model.alias}`;
    const dataset = model.name.endsWith(suffix) ? model.name.slice(0, -suffix.length) : model.name;
    const versions = found.get(dataset) ?? found.set(dataset, new Map()).get(dataset);
    versions.set(model.version, [...(versions.get(model.version) ?? []), model]);
  }
  const card = (served) => new Card(served, summarise, fail);
  return new Map([...found].map(([dataset, versions]) => [dataset, [...versions.values()].map(card)]));
}

function offerDatasets() {
  const select = find("dataset");
  const chosen = select.value;
  select.replaceChildren(...[...groups.keys()].map((name) => new Option(name, name, false, name === chosen)));
  find("dataset-choice").hidden = groups.size < 2;
}

const cards = () => groups.get(find("dataset").value) ?? [];

function showGroup() {
  find("cards").replaceChildren(...cards().map((card) => card.element));
  find("samples").hidden = !cards().some((card) => SAMPLES.every((_, digit) => card.classes[digit] === String(digit)));
  explain();
  update();
}

function explain() {
  const [card] = cards();
  if (!card) return;
  const [height, width, channels] = card.shape;
  const { box, centred } = framing(find("dataset").value, height, width);
  const placed = centred ? ` into a ${box} × ${box} box and shifts its centre of mass to the middle, as MNIST's own digits were made` : " so that it fills the frame";
  const drawn = channels === 1 ? `This page scales your drawing${placed}, white on black.` : "Your drawing is resized as it is.";
  find("explanation").textContent = `The models read ${height} × ${width} × ${channels} bytes. ${drawn} A picture is only brought to this size (bilinear), as the command line does; everything else, normalisation included, is inside the ONNX graph.`;
}

/** Something was drawn, chosen or cleared: ask every model. */
function update() {
  find("undo").disabled = drawing.strokes.length === 0;
  find("clear").disabled = drawing.empty;
  find("hint").hidden = !drawing.empty;
  find("invert-choice").hidden = !drawing.picture;
  if (drawing.empty) cards().forEach((card) => card.forget());
  else cards().forEach((card) => card.ask(pixels(card)));
  showSeen();
  summarise();
}

const pixels = ({ shape, reading }) => (drawing.picture ? pixelsOfPicture(drawing.picture, shape, reading, find("invert").checked) : pixelsOfStrokes(drawing.strokes, shape, find("dataset").value));

function showSeen() {
  const [card] = cards();
  if (!card) return;
  const [height, width, channels] = card.shape;
  const values = drawing.empty ? new Uint8Array(height * width * channels) : pixels(card);
  const image = new ImageData(width, height);
  image.data.forEach((_, i) => { image.data[i] = i % 4 === 3 ? 255 : values[Math.floor(i / 4) * channels + Math.min(i % 4, channels - 1)]; });
  Object.assign(find("seen"), { width, height }).getContext("2d").putImageData(image, 0, 0);
  const { picture } = drawing;
  if (picture) find("seen").toBlob((blob) => doubt(card.name, blob).then((text) => picture === drawing.picture && say("doubt", text), fail));
  else say("doubt", "");
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
  if (!answered.length) return ["Waiting for a drawing", "Every served model answers while you draw."];
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

async function open(file) {
  if (!file) return;
  try {
    drawing.show(await createImageBitmap(file));
  } catch {
    say("problem", `${file.name} is not a picture this browser can read; choose a PNG or JPEG.`);
  }
}

function listen() {
  drawing.addEventListener("change", update);
  drawing.addEventListener("pen", (event) => say("spoken", event.detail));
  find("undo").addEventListener("click", () => drawing.undo());
  find("clear").addEventListener("click", () => drawing.clear());
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => { open(event.target.files[0]); event.target.value = ""; });
  find("invert").addEventListener("change", update);
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
  addEventListener("dragover", (event) => { event.preventDefault(); find("paper").classList.add("over"); });
  addEventListener("dragleave", () => find("paper").classList.remove("over"));
  addEventListener("drop", (event) => { event.preventDefault(); find("paper").classList.remove("over"); open(event.dataTransfer.files[0]); });
  addEventListener("paste", (event) => open(event.clipboardData.files[0]));
}

function offerSamples() {
  SAMPLES.forEach((strokes, digit) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: digit });
    button.setAttribute("aria-label", `Draw a ${digit}`);
    button.addEventListener("click", () => drawing.set(strokes));
    find("samples").append(button);
  });
}

offerSamples();
listen();
summarise();
await refresh();
const refreshSeen = () => document.visibilityState === "visible" && refresh();
document.addEventListener("visibilitychange", refreshSeen);
setInterval(refreshSeen, POLL_MS);
