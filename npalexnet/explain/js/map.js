// A map: numbers as pixels, red above 0 and blue below, with frames on it. It is pointed at, tapped, or walked by keys.

const RED = [222, 41, 31];
const BLUE = [33, 107, 217];
const SIDE = 660; // pixels of a canvas, at most

const WALKS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-5, 0],
  PageDown: [5, 0],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

// Opaque where the number is largest; the square root of the size, so that small ones can be seen.
function imageOf(grid) {
  const canvas = h("canvas", { width: grid.width, height: grid.height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(grid.width, grid.height);
  const largest = grid.values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  grid.values.forEach((value, place) => {
    image.data.set(value < 0 ? BLUE : RED, 4 * place);
    image.data[4 * place + 3] = 255 * Math.sqrt(Math.abs(value) / largest);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

// `margin` is how many pixels of padding are drawn around: {top, left, bottom, right}. `pick(row, column, firmly)` is
// called for a pixel that is pointed at, and firmly for one that is clicked or walked to.
function makeMap({ id, title, grid, margin = { top: 0, left: 0, bottom: 0, right: 0 }, pick, picture }) {
  const height = grid.height + margin.top + margin.bottom;
  const width = grid.width + margin.left + margin.right;
  const scale = Math.max(1, Math.floor(SIDE / Math.max(height, width)));
  const image = picture ?? imageOf(grid);
  const canvas = h("canvas", {
    id,
    width: width * scale,
    height: height * scale,
    role: pick ? "application" : "img",
    "aria-label": pick ? `${title}: arrow keys choose a number` : title,
    tabindex: pick ? "0" : undefined,
    class: pick ? "picked" : undefined,
  });
  let place = [0, 0];

  function frame(top, left, rows, columns, colour, line) {
    const context = canvas.getContext("2d");
    const corner = [(left + margin.left) * scale, (top + margin.top) * scale, columns * scale, rows * scale];
    context.lineWidth = line + 3;
    context.strokeStyle = "rgb(255 255 255 / 85%)";
    context.strokeRect(...corner);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.strokeRect(...corner);
  }

  function draw(frames) {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(document.body);
    context.imageSmoothingEnabled = false;
    context.fillStyle = style.getPropertyValue("--padding");
    context.fillRect(0, 0, canvas.width, canvas.height);
    const inner = [margin.left * scale, margin.top * scale, grid.width * scale, grid.height * scale];
    context.fillStyle = style.getPropertyValue("--card");
    context.fillRect(...inner);
    context.drawImage(image, ...inner);
    for (const { at, size = [1, 1], colour = "--mark", line = 4 } of frames) {
      frame(at[0], at[1], size[0], size[1], style.getPropertyValue(colour), line);
    }
    place = frames[0]?.at ?? place;
  }

  function pointed(event, firmly) {
    const box = canvas.getBoundingClientRect();
    const down = Math.floor(((event.clientY - box.top - canvas.clientTop) / canvas.clientHeight) * height) - margin.top;
    const across =
      Math.floor(((event.clientX - box.left - canvas.clientLeft) / canvas.clientWidth) * width) - margin.left;
    if (grid.inside(down, across)) pick(down, across, firmly);
  }

  function walk([down, across]) {
    const to = (now, step, end) => Math.min(end - 1, Math.max(0, now + step));
    let column = to(place[1], across, grid.width);
    const line = to(place[0], down, grid.height);
    while (!grid.inside(line, column)) column -= 1; // a vector's last row is shorter
    pick(line, column, true);
  }

  if (pick) {
    canvas.addEventListener("pointermove", (event) => event.pointerType === "mouse" && pointed(event, false));
    canvas.addEventListener("click", (event) => pointed(event, true));
    canvas.addEventListener("keydown", (event) => {
      if (!WALKS[event.key]) return;
      event.preventDefault();
      walk(WALKS[event.key]);
    });
  }
  const node = h("figure", { class: "map" }, h("figcaption", {}, title), canvas);
  return { node, draw, walk };
}

// Buttons that walk a map, for fingers: `largest` goes to the largest number.
function pad(map, largest) {
  const button = (label, sign, act) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: act }, sign);
  return h(
    "div",
    { class: "pad", role: "group", "aria-label": "Move" },
    button("left", "←", () => map.walk([0, -1])),
    button("up", "↑", () => map.walk([-1, 0])),
    button("down", "↓", () => map.walk([1, 0])),
    button("right", "→", () => map.walk([0, 1])),
    h("button", { type: "button", onclick: largest }, "largest number"),
  );
}
