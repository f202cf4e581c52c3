// Windows over a map, of convolutions and pooling: window (p, q) begins at pixel (p, q) * stride - padding.

function windowsOf(step) {
  const [height, width] = data.edges[step.input].shape.slice(1);
  const [rows, columns] = data.edges[step.output].shape.slice(1);
  const [kH, kW] = step.kernel;
  const extent = step.kernel.map((size, axis) => (size - 1) * step.dilation[axis] + 1);
  const start = (place) => place.map((number, axis) => number * step.stride[axis] - step.padding[axis]);
  const pixel = (place, [i, j]) => {
    const [top, left] = start(place);
    return [top + i * step.dilation[0], left + j * step.dilation[1]];
  };
  const over = (axis, count, size) => Math.max(0, start([count - 1, count - 1])[axis] + extent[axis] - size);

  // The windows that a pixel is in, each with its element there: {place: [p, q], element: [i, j]}.
  function containing(at) {
    const axes = [0, 1].map((axis) => {
      const found = [];
      for (let element = 0; element < step.kernel[axis]; element += 1) {
        const place = (at[axis] + step.padding[axis] - element * step.dilation[axis]) / step.stride[axis];
        if (Number.isInteger(place) && place >= 0 && place < [rows, columns][axis]) found.push([place, element]);
      }
      return found.reverse();
    });
    return axes[0].flatMap(([p, i]) => axes[1].map(([q, j]) => ({ place: [p, q], element: [i, j] })));
  }

  return {
    kH,
    kW,
    rows,
    columns,
    start,
    pixel,
    extent,
    containing,
    margin: {
      top: step.padding[0],
      left: step.padding[1],
      bottom: over(0, rows, height),
      right: over(1, columns, width),
    },
    inside: ([r, s]) => r >= 0 && s >= 0 && r < height && s < width,
  };
}

// "rows 3 to 5 and columns 7 to 9", with what is outside.
function windowText(windows, place) {
  const [top, left] = windows.start(place);
  return (
    `rows ${shown(top)} to ${top + windows.extent[0] - 1} and columns ${shown(left)} to ` +
    `${left + windows.extent[1] - 1}`
  );
}

function channelName(index, channel) {
  return index === 0 && data.edges[0].shape[0] === 3 ? ["red", "green", "blue"][channel] : `channel ${channel}`;
}

function inputGrids(step, unit) {
  return unit.inputs.map((channel) => mapOf(step.input, channel, "value"));
}

// Kernel c of a unit's shown input channels, as a grid; `key` is "kernels" or "weight_gradients".
function kernelOf(step, unit, c, key) {
  const [kH, kW] = step.kernel;
  const all = numbersOf(unit[key]);
  return gridOf(all.subarray(c * kH * kW, (c + 1) * kH * kW), kH, kW);
}

// The columns matrix as a figure: a row for each window, the shown channel's numbers in the lit row.
function columnsFigure(step, title) {
  const windows = windowsOf(step);
  const width = windows.kH * windows.kW * step.width;
  const canvas = h("canvas", { width: 660, height: 300, role: "img", "aria-label": title, class: "columns" });
  const words = h("span");
  const node = h("figure", { class: "map" }, h("figcaption", {}, title), canvas, words);

  function draw(place, local, at) {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(document.body);
    const rowNumber = place[0] * windows.columns + place[1];
    const count = windows.rows * windows.columns;
    context.fillStyle = style.getPropertyValue("--padding");
    context.fillRect(0, 0, canvas.width, canvas.height);
    const top = Math.min(canvas.height - 14, Math.round((rowNumber / count) * (canvas.height - 14)));
    context.fillStyle = style.getPropertyValue("--card");
    context.fillRect(0, top, canvas.width, 14);
    const numbers = Array.from({ length: windows.kH * windows.kW }, (_, k) =>
      at(Math.floor(k / windows.kW), k % windows.kW),
    );
    const largest = Math.max(1e-30, ...numbers.map(Math.abs));
    numbers.forEach((value, k) => {
      const [red, green, blue] = value < 0 ? BLUE : RED;
      context.fillStyle = `rgb(${red} ${green} ${blue} / ${Math.sqrt(Math.abs(value) / largest)})`;
      const x = ((k * step.width + local) / width) * canvas.width;
      context.fillRect(x, top, Math.max(2, canvas.width / width), 14);
    });
    context.lineWidth = 3;
    context.strokeStyle = style.getPropertyValue("--mark");
    context.strokeRect(1.5, top - 0.5, canvas.width - 3, 15);
    words.textContent =
      `Row ${counted(rowNumber)} of 0 to ${counted(count - 1)}, one for each window; ${counted(width)} numbers ` +
      `in each: ${windows.kH} × ${windows.kW} places of ${counted(step.width)} channels. This channel's are numbers ` +
      `${local}, ${local + step.width}, ${local + 2 * step.width}, …`;
  }
  return { node, draw };
}
