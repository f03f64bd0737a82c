// The desk for models of images: a drawing or a picture, as each model's own pixels.

import { Drawing } from "./drawing.js";
import { framing, pixelsOfPicture, pixelsOfStrokes } from "./pixels.js";
import { SAMPLES } from "./samples.js";
import { doubt, infer } from "./server.js";

const find = (id) => document.getElementById(id);

export class Pictures extends EventTarget {
  element = find("pictures");
  waiting = ["Waiting for a drawing", "Every served model answers while you draw."];
  #drawing = new Drawing(find("drawing"));
  #cards = [];
  #dataset = "";

  /** Events: `change`, and `told` with { id, text } to be shown. */
  constructor() {
    super();
    this.#offerSamples();
    this.#drawing.addEventListener("change", () => this.#changed());
    this.#drawing.addEventListener("pen", (event) => this.#tell("spoken", event.detail));
    find("undo").addEventListener("click", () => this.#drawing.undo());
    find("clear").addEventListener("click", () => this.#drawing.clear());
    find("choose").addEventListener("click", () => find("file").click());
    find("file").addEventListener("change", (event) => { this.open(event.target.files[0]); event.target.value = ""; });
    find("invert").addEventListener("change", () => this.#changed());
  }

  get empty() {
    return this.#drawing.empty;
  }

  /** These cards will be asked. */
  serve(cards, dataset) {
    [this.#cards, this.#dataset] = [cards, dataset];
    find("samples").hidden = !cards.some((card) => SAMPLES.every((_, digit) => card.classes[digit] === String(digit)));
    this.#explain();
  }

  /** What the card's model reads. */
  sample({ image_shape: shape, reading }) {
    const { picture, strokes } = this.#drawing;
    const pixels = picture ? pixelsOfPicture(picture, shape, reading, find("invert").checked) : pixelsOfStrokes(strokes, shape, this.#dataset);
    return { name: "images", shape: [1, ...shape], datatype: "UINT8", data: Array.from(pixels) };
  }

  /** Probabilities [K] for what `sample` made. */
  classify(model, sample) {
    return infer(model.name, sample);
  }

  /** Bring buttons and the small picture up to date. */
  show() {
    find("undo").disabled = this.#drawing.strokes.length === 0;
    find("clear").disabled = this.empty;
    find("hint").hidden = !this.empty;
    find("invert-choice").hidden = !this.#drawing.picture;
    this.#showSeen();
  }

  drag(over) {
    find("paper").classList.toggle("over", over);
  }

  async open(file) {
    if (!file) return;
    try {
      this.#drawing.show(await createImageBitmap(file));
    } catch {
      this.#tell("problem", `${file.name} is not a picture this browser can read; choose a PNG or JPEG.`);
    }
  }

  #explain() {
    const [card] = this.#cards;
    if (!card) return;
    const [height, width, channels] = card.model.image_shape;
    const { box, centred } = framing(this.#dataset, height, width);
    const placed = centred ? ` into a ${box} × ${box} box and shifts its centre of mass to the middle, as MNIST's own digits were made` : " so that it fills the frame";
    const drawn = channels === 1 ? `This page scales your drawing${placed}, white on black.` : "Your drawing is resized as it is.";
    find("explanation").textContent = `The models read ${height} × ${width} × ${channels} bytes. ${drawn} A picture is only brought to this size (bilinear), as the command line does; everything else, normalisation included, is inside the ONNX graph.`;
  }

  #showSeen() {
    const [card] = this.#cards;
    if (!card) return;
    const [height, width, channels] = card.model.image_shape;
    const values = this.empty ? new Uint8Array(height * width * channels) : this.sample(card.model).data;
    const image = new ImageData(width, height);
    image.data.forEach((_, i) => { image.data[i] = i % 4 === 3 ? 255 : values[Math.floor(i / 4) * channels + Math.min(i % 4, channels - 1)]; });
    Object.assign(find("seen"), { width, height }).getContext("2d").putImageData(image, 0, 0);
    const { picture } = this.#drawing;
    this.#tell("doubt", "");
    if (picture) find("seen").toBlob((blob) => this.#doubt(card.model, blob, picture));
  }

  async #doubt(model, blob, picture) {
    try {
      const text = await doubt(model.name, blob);
      if (picture === this.#drawing.picture) this.#tell("doubt", text);
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #tell(id, text) {
    this.dispatchEvent(new CustomEvent("told", { detail: { id, text } }));
  }

  #offerSamples() {
    SAMPLES.forEach((strokes, digit) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: digit });
      button.setAttribute("aria-label", `Draw a ${digit}`);
      button.addEventListener("click", () => this.#drawing.set(strokes));
      find("samples").append(button);
    });
  }
}
