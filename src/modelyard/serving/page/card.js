// One served version on the page: its answer as bars and what is known of it.

const MOST_BARS = 12;

/** A share of one as text; never a rounded 100 % for less than all. */
export function percent(share, digits = 1) {
  const most = 100 - 10 ** -digits;
  return share < 1 && 100 * share > most ? `>${most.toFixed(digits)}\u00a0%` : `${(100 * share).toFixed(digits)}\u00a0%`;
}

export class Card {
  element = document.getElementById("card").content.cloneNode(true).firstElementChild;
  /** The last answer: { label, probability, ms }, or null. */
  answer = null;
  model;
  /** Makes samples of what people give, and asks. */
  desk;
  /** Whether an answer is on its way. */
  busy = false;
  #waiting = null;
  #round = 0;
  #onAnswer;
  #onError;

  /** `served` lists all names under which this version is served; the first one is asked. */
  constructor(served, desk, onAnswer, onError) {
    [this.model] = served;
    this.desk = desk;
    this.#onAnswer = onAnswer;
    this.#onError = onError;
    this.#find("h3").textContent = this.title;
    this.#find(".badges").replaceChildren(...badges(served));
    this.#find("dl").append(...facts(served).flatMap(([term, text, title]) => [node("dt", term), node("dd", text, title)]));
    this.forget();
  }

  get title() {
    const words = { cnn: "CNN", rnn: "RNN", lstm: "LSTM", vit: "ViT", lenet: "LeNet", "text-cnn": "CNN", "text-rnn": "RNN", "text-transformer": "Transformer" };
    const { architecture } = this.model;
    return words[architecture] ?? architecture.charAt(0).toUpperCase() + architecture.slice(1);
  }

  get classes() {
    return this.model.classes;
  }

  /** Ask the server; while an answer is on its way only the newest sample waits. */
  async ask(sample) {
    this.#waiting = sample;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.#waiting) {
        const [now, round] = [this.#waiting, this.#round];
        this.#waiting = null;
        const told = await this.desk.classify(this.model, now);
        if (round === this.#round) this.#tell(told);
      }
    } catch (error) {
      this.forget();
      this.#onError(error);
    } finally {
      this.busy = false;
      this.#onAnswer();
    }
  }

  /** Back to no answer. */
  forget() {
    this.#round += 1; // an answer on its way is of no use any more
    this.#waiting = null;
    this.answer = null;
    this.element.classList.remove("answered");
    this.#find(".best").textContent = "–";
    this.#find(".sure").textContent = "";
    this.#find(".ms").textContent = "–";
    this.#draw(this.classes.map(() => 0));
  }

  #tell({ probabilities, ms }) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.answer = { label: this.classes[best], probability: probabilities[best], ms };
    this.element.classList.add("answered");
    this.#find(".best").textContent = this.answer.label;
    this.#find(".sure").textContent = percent(this.answer.probability);
    this.#find(".ms").textContent = `${ms.toFixed(1)} ms`;
    this.#draw(probabilities, best);
    this.#onAnswer();
  }

  #draw(probabilities, best = -1) {
    let rows = probabilities.map((share, i) => ({ share, name: this.classes[i], best: i === best }));
    if (rows.length > MOST_BARS) rows = rows.toSorted((a, b) => b.share - a.share).slice(0, MOST_BARS);
    const list = this.#find(".bars");
    while (list.children.length < rows.length) list.append(bar());
    rows.forEach((row, i) => fill(list.children[i], row, best >= 0));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

function bar() {
  const row = node("li", "");
  row.append(node("span", ""), node("span", ""), node("span", ""));
  ["name", "track", "share"].forEach((name, i) => { row.children[i].className = name; });
  row.children[1].append(node("span", ""));
  return row;
}

function fill(row, { share, name, best }, answered) {
  row.classList.toggle("winner", best);
  row.children[0].textContent = name;
  row.children[0].title = name;
  row.children[1].firstElementChild.style.transform = `scaleX(${share})`;
  row.children[2].textContent = answered ? percent(share) : "";
}

function badges(served) {
  const champion = served.some(({ alias }) => alias === "champion");
  const made = [champion && node("li", "champion"), node("li", `version ${served[0].version}`)].filter(Boolean);
  if (champion) made[0].className = "champion";
  return made;
}

function facts(served) {
  const [{ metrics, data_digest: digest }] = served;
  const has = (...keys) => keys.every((key) => typeof metrics[key] === "number");
  const rows = [];
  if (has("test/accuracy", "test/accuracy_low", "test/accuracy_high")) {
    const [low, high] = ["low", "high"].map((end) => (100 * metrics[`test/accuracy_${end}`]).toFixed(2));
    rows.push(["Test accuracy", `${percent(metrics["test/accuracy"], 2)}\n${low}–${high}`, "with its 95 % interval (Wilson)"]);
  }
  if (has("test/nll")) rows.push(["NLL", `${metrics["test/nll"].toFixed(4)} nats`, "negative log-likelihood of the test labels"]);
  if (has("test/ece", "test/ece_before_temperature")) {
    const [before, after] = [metrics["test/ece_before_temperature"], metrics["test/ece"]];
    rows.push(["ECE", `${percent(after, 2)}\n${percent(before, 2)} before`, "expected calibration error after and before fitting the temperature"]);
  }
  if (has("model/parameters")) rows.push(["Parameters", metrics["model/parameters"].toLocaleString("en")]);
  if (has("onnx/bytes")) rows.push(["File", `${Math.round(metrics["onnx/bytes"] / 1000).toLocaleString("en")} KB`]);
  return [...rows, ["Data digest", `${digest.slice(0, 10)}…`, digest], ["Served as", served.map(({ name }) => name).join("\n")]];
}

function node(tag, text, title) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (title) made.title = title;
  return made;
}
