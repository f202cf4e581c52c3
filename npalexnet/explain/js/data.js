// The numbers of the page: what Python wrote, as arrays. An "edge" is what is between two layers.

const data = JSON.parse(document.getElementById("data").textContent);

const decoded = new Map();

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// Base64 of float32 numbers; or of the different ones, and for each number which one it is.
function numbersOf(code) {
  if (!decoded.has(code)) {
    const levels = new Float32Array(bytesOf(code.levels ?? code).buffer);
    const all = code.places === undefined ? levels : Float32Array.from(bytesOf(code.places), (place) => levels[place]);
    decoded.set(code, all);
  }
  return decoded.get(code);
}

function edgeOf(index) {
  const edge = data.edges[index];
  return edge.same === undefined ? edge : edgeOf(edge.same);
}

// Numbers in rows and columns; those outside are 0.
function gridOf(values, height, width) {
  const inside = (row, column) =>
    row >= 0 && column >= 0 && row < height && column < width && row * width + column < values.length;
  return {
    values,
    height,
    width,
    inside,
    at: (row, column) => (inside(row, column) ? values[row * width + column] : 0),
  };
}

// A channel of an edge; of a vector all, row by row of a square. `key` is "value" or "gradient".
function mapOf(index, channel, key) {
  const edge = edgeOf(index);
  if (edge.shape.length === 1) {
    const width = Math.ceil(Math.sqrt(edge.shape[0]));
    return gridOf(numbersOf(edge[key]), Math.ceil(edge.shape[0] / width), width);
  }
  return gridOf(numbersOf(edge.maps[channel][key]), edge.shape[1], edge.shape[2]);
}

// Where the number is whose `size` is the largest: [row, column].
function largestIn(grid, size) {
  let best = 0;
  grid.values.forEach((value, place) => {
    if (size(value) > size(grid.values[best])) best = place;
  });
  return [Math.floor(best / grid.width), best % grid.width];
}

function isVector(index) {
  return edgeOf(index).shape.length === 1;
}
