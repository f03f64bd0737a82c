// The drawing area: strokes by mouse, finger, pen or arrow keys. A stroke is a list of [x, y] in the unit square.

import { trace } from "./pixels.js";

const PEN = 1 / 13; // of the side
const STEP = 1 / 32;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Drawing extends EventTarget {
  strokes = [];
  picture = null;
  #canvas;
  #cursor = { at: [0.5, 0.25], down: false };

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.#paint());
    this.#paint();
  }

  get empty() {
    return this.strokes.length === 0 && !this.picture;
  }

  /** Replace everything by these strokes. */
  set(strokes) {
    this.picture = null;
    this.strokes = strokes.map((stroke) => [...stroke]);
    this.#cursor.down = false;
    this.#changed();
  }

  /** Replace everything by a picture (ImageBitmap). */
  show(picture) {
    this.strokes = [];
    this.picture = picture;
    this.#changed();
  }

  undo() {
    this.set(this.strokes.slice(0, -1));
  }

  clear() {
    this.set([]);
    this.#cursor = { at: [0.5, 0.25], down: false };
  }

  #press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#cursor.down = false;
    this.#start(this.#position(event));
  }

  #drag(event) {
    if (!event.isPrimary || !this.#canvas.hasPointerCapture(event.pointerId)) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) this.strokes.at(-1)?.push(this.#position(move));
    this.#changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) this.#step(move);
    else if (event.key === " ") this.#toggle();
    else if (event.key === "Backspace") this.undo();
    else return;
    event.preventDefault();
  }

  #step([dx, dy]) {
    const [x, y] = this.#cursor.at;
    this.#cursor.at = [within(x + dx * STEP), within(y + dy * STEP)];
    if (this.#cursor.down) this.strokes.at(-1).push(this.#cursor.at);
    this.#changed();
  }

  #toggle() {
    this.#cursor.down = !this.#cursor.down;
    if (this.#cursor.down) this.#start(this.#cursor.at);
    this.#paint();
    this.dispatchEvent(new CustomEvent("pen", { detail: this.#cursor.down ? "pen down" : "pen up" }));
  }

  #start(point) {
    this.picture = null;
    this.strokes.push([point]);
    this.#changed();
  }

  #position(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }

  #changed() {
    this.#paint();
    this.dispatchEvent(new Event("change"));
  }

  #paint() {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (this.picture) context.drawImage(this.picture, ...contained(this.picture, width));
    trace(context, this.strokes, { scale: width, x: 0, y: 0 }, width * PEN);
    if (this.#canvas.matches(":focus-visible")) this.#paintCursor(context, width);
  }

  #paintCursor(context, side) {
    const [x, y] = this.#cursor.at;
    Object.assign(context, { lineWidth: side / 130, strokeStyle: "#ff9a5c", fillStyle: "#ff9a5c" });
    context.beginPath();
    context.arc(x * side, y * side, (side * PEN) / 2, 0, 2 * Math.PI);
    if (this.#cursor.down) context.fill();
    else context.stroke();
  }
}

const within = (value) => Math.max(0, Math.min(1, value));

function contained(picture, side) {
  const scale = side / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return [(side - width) / 2, (side - height) / 2, width, height];
}
