// The desk for models of texts: what is written, pasted or read from a file.

import { predict } from "./server.js";

const MOST_BYTES = 2 ** 20; // as the server reads
const find = (id) => document.getElementById(id);

export class Texts extends EventTarget {
  element = find("texts");
  waiting = ["Waiting for a text", "Every served model answers while you write."];
  #field = find("text");
  #longest = 0;

  /** Events: `change`, and `told` with { id, text } to be shown. */
  constructor() {
    super();
    this.#field.addEventListener("input", () => this.#changed());
    find("clear-text").addEventListener("click", () => { this.#field.value = ""; this.#changed(); this.#field.focus(); });
    find("choose-text").addEventListener("click", () => find("text-file").click());
    find("text-file").addEventListener("change", (event) => { this.open(event.target.files[0]); event.target.value = ""; });
  }

  get empty() {
    return this.#field.value.trim() === "";
  }

  /** These cards will be asked. */
  serve(cards) {
    this.#longest = Math.max(0, ...cards.map((card) => card.model.longest_text));
    find("text-explanation").textContent = `The models read the first ${this.#longest.toLocaleString("en")} characters as UTF-8, in Unicode's form C; the server brings a text to this form, as the command line does. Everything else is inside the ONNX graph.`;
  }

  /** What is asked: the text. */
  sample() {
    return this.#field.value;
  }

  /** Probabilities [K] for a text. */
  classify(model, text) {
    return predict(model, text);
  }

  /** Bring the count and the buttons up to date. */
  show() {
    const length = [...this.#field.value.normalize("NFC")].length;
    const cut = length > this.#longest ? `; the models read the first ${this.#longest.toLocaleString("en")}` : "";
    find("count").textContent = length ? `${length.toLocaleString("en")} character${length === 1 ? "" : "s"}${cut}` : "";
    find("clear-text").disabled = this.#field.value === "";
    this.#tell("doubt", "");
  }

  drag(over) {
    this.#field.classList.toggle("over", over);
  }

  async open(file) {
    if (!file) return;
    if (file.size > MOST_BYTES) {
      this.#tell("problem", `${file.name} has more than a megabyte; choose a shorter text.`);
      return;
    }
    try {
      this.#field.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      this.#changed();
    } catch {
      this.#tell("problem", `${file.name} is not a text in UTF-8; choose another file.`);
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #tell(id, text) {
    this.dispatchEvent(new CustomEvent("told", { detail: { id, text } }));
  }
}
