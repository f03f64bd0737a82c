// From strokes or a picture to the uint8 [height, width, channels] array that a model reads.

const OVERSAMPLING = 12;
const FRAME_FILLING = new Set(["digits", "fashion-mnist", "kmnist"]); // their images have no margin

/** How the images of a data set sit in their frame: side of the box and width of the pen, in pixels of the frame. */
export function framing(dataset, height, width) {
  const side = Math.min(height, width);
  if (FRAME_FILLING.has(dataset)) return { box: side, pen: side * (4.5 / 28), centred: false };
  // LeCun et al. 1998: digits are fitted into 20x20 and centred by mass in 28x28. The pen is as thick as MNIST's mean.
  return { box: Math.round(side * (20 / 28)), pen: side * (2.6 / 28), centred: true };
}

/** Strokes, lists of [x, y] in a unit square, as pixels [H * W * C]: white on black, framed for one channel. */
export function pixelsOfStrokes(strokes, [height, width, channels], dataset) {
  const frame = framing(dataset, height, width);
  if (channels !== 1) {
    return repeated(rendered(strokes, { scale: Math.min(height, width), x: 0, y: 0 }, frame.pen, [height, width]), channels);
  }
  const placed = fitted(strokes, frame, [height, width]);
  const pixels = rendered(strokes, placed, frame.pen, [height, width]);
  if (!frame.centred) return pixels;
  const [x, y] = centreOfMass(pixels, width);
  placed.x += Math.round(width / 2 - x);
  placed.y += Math.round(height / 2 - y);
  return rendered(strokes, placed, frame.pen, [height, width]);
}

/** A picture (ImageBitmap) as pixels [H * W * C] as `modelyard predict` fits it: on the training data's ground, Pillow's bilinear filter. */
export function pixelsOfPicture(picture, [height, width, channels], { fit, ground }, invert) {
  const colour = [0, 1, 2].map((channel) => ground[channel] ?? ground[0]).map((value) => (invert ? 255 - value : value)); // twice inverted
  const { data } = drawn(picture.width, picture.height, (context) => {
    Object.assign(context, { fillStyle: `rgb(${colour.join()})` }).fillRect(0, 0, picture.width, picture.height);
    context.drawImage(picture, 0, 0);
  });
  const planes = channels === 1 ? [luma(data)] : [0, 1, 2].map((channel) => plane(data, channel));
  const { box, inner } = placement(fit, [picture.height, picture.width], [height, width]);
  const small = planes.map((values) => resample(values, [picture.height, picture.width], inner, box));
  const [top, left] = [Math.floor((height - inner[0]) / 2), Math.floor((width - inner[1]) / 2)];
  const pixels = Uint8Array.from({ length: height * width * channels }, (_, i) => colour[i % channels]);
  small.forEach((values, channel) => values.forEach((value, i) => {
    pixels[((top + Math.floor(i / inner[1])) * width + left + (i % inner[1])) * channels + channel] = value;
  }));
  return invert ? pixels.map((value) => 255 - value) : pixels;
}

/** The part of a picture that is shown, [top, left, height, width], and the size that it gets. */
function placement(fit, [height, width], [toHeight, toWidth]) {
  if (fit === "stretch") return { box: [0, 0, height, width], inner: [toHeight, toWidth] };
  const [down, across] = [toHeight / height, toWidth / width];
  const scale = fit === "crop" ? Math.max(down, across) : Math.min(down, across);
  if (fit === "pad") return { box: [0, 0, height, width], inner: [height, width].map((side) => Math.max(1, Math.floor(side * scale + 0.5))) };
  const [seenHeight, seenWidth] = [toHeight / scale, toWidth / scale];
  return { box: [(height - seenHeight) / 2, (width - seenWidth) / 2, seenHeight, seenWidth], inner: [toHeight, toWidth] };
}

/** Triangle filter whose support grows with the scale, horizontally and then vertically, rounded after each pass. */
export function resample(values, [height, width], [toHeight, toWidth], [top, left, seenHeight, seenWidth] = [0, 0, height, width]) {
  const narrow = new Uint8Array(height * toWidth);
  weights(width, toWidth, left, seenWidth).forEach(([start, row], x) => {
    for (let y = 0; y < height; y += 1) narrow[y * toWidth + x] = weighted(values, y * width + start, 1, row);
  });
  const small = new Uint8Array(toHeight * toWidth);
  weights(height, toHeight, top, seenHeight).forEach(([start, row], y) => {
    for (let x = 0; x < toWidth; x += 1) small[y * toWidth + x] = weighted(narrow, start * toWidth + x, toWidth, row);
  });
  return small;
}

/** Trace strokes on a 2D context, smooth between their points. */
export function trace(context, strokes, { scale, x, y }, pen) {
  Object.assign(context, { lineWidth: pen, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  for (const stroke of strokes) {
    const points = stroke.map(([px, py]) => [px * scale + x, py * scale + y]);
    const [first, last] = [points[0], points.at(-1)];
    context.beginPath();
    context.moveTo(...first);
    points.slice(1).forEach((point, i) => context.quadraticCurveTo(...points[i], (points[i][0] + point[0]) / 2, (points[i][1] + point[1]) / 2));
    context.lineTo(...last); // a single point becomes a dot
    context.stroke();
  }
}

function fitted(strokes, { box, pen }, [height, width]) {
  const points = strokes.flat();
  const [left, right] = extent(points.map(([px]) => px));
  const [top, bottom] = extent(points.map(([, py]) => py));
  const scale = (box - pen) / Math.max(right - left, bottom - top, 0.1); // a dot stays small
  return { scale, x: width / 2 - (scale * (left + right)) / 2, y: height / 2 - (scale * (top + bottom)) / 2 };
}

function rendered(strokes, { scale, x, y }, pen, [height, width]) {
  const big = { scale: scale * OVERSAMPLING, x: x * OVERSAMPLING, y: y * OVERSAMPLING };
  const size = [height * OVERSAMPLING, width * OVERSAMPLING];
  const { data } = drawn(size[1], size[0], (context) => trace(context, strokes, big, pen * OVERSAMPLING));
  return resample(plane(data, 3), size, [height, width]);
}

/** What `draw` leaves on a transparent canvas, as ImageData. */
function drawn(width, height, draw) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  draw(context);
  return context.getImageData(0, 0, width, height);
}

function centreOfMass(pixels, width) {
  let [mass, x, y] = [0, 0, 0];
  pixels.forEach((value, i) => {
    mass += value;
    x += value * ((i % width) + 0.5);
    y += value * (Math.floor(i / width) + 0.5);
  });
  return [x / mass, y / mass];
}

function weights(from, to, first, seen) {
  const scale = seen / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = first + (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(from, Math.floor(centre + reach + 0.5));
    const row = Float64Array.from({ length: end - start }, (_, j) => Math.max(0, 1 - Math.abs(start + j + 0.5 - centre) / reach));
    const sum = row.reduce((total, weight) => total + weight, 0);
    return [start, row.map((weight) => weight / sum)];
  });
}

function weighted(values, start, step, row) {
  let sum = 0.5;
  for (let i = 0; i < row.length; i += 1) sum += values[start + i * step] * row[i];
  return Math.min(255, sum); // stored in a Uint8Array, which cuts the fraction
}

const luma = (data) => Uint8Array.from({ length: data.length / 4 }, (_, i) =>
  (data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 0x8000) >> 16); // ITU-R 601-2, as Pillow
const plane = (data, channel) => Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + channel]);
const repeated = (pixels, channels) => Uint8Array.from({ length: pixels.length * channels }, (_, i) => pixels[Math.floor(i / channels)]);
const extent = (values) => [Math.min(...values), Math.max(...values)];
