// A convolution, backward: the output's gradient times the kernel goes to the pixels, times the window to the kernel.

function convolutionBackward(step, state, act) {
  const parts = convolutionParts(step, state);
  const { unit, c, windows } = parts;
  const input = mapOf(step.input, parts.input, "value");
  const gradient = mapOf(step.input, parts.input, "gradient");
  const kernel = kernelOf(step, unit, c, "kernels");
  const ofKernel = kernelOf(step, unit, c, "weight_gradients");
  const upstream = mapOf(step.output, state.channel, "gradient");
  const name = channelName(step.input, parts.input);
  const all = counted(windows.rows * windows.columns);
  const source = makeMap({
    id: "source",
    title: `Gradient of the input, ${name}`,
    grid: gradient,
    margin: windows.margin,
    pick: (down, across, firmly) => firmly && act.toPixel(down, across, windows),
  });
  const target = makeMap({
    id: "target",
    title: `Gradient of the output, channel ${state.channel}`,
    grid: upstream,
    pick: act.point,
  });
  const matrix = columnsFigure(step, "Gradient of the columns matrix");
  const cells = [
    ["kernel", "Kernel"],
    ["to-input", "g × kernel, to the pixels"],
    ["window", `Window, ${name}`],
    ["to-kernel", "g × window, to the kernel"],
  ].map(([id, title]) => makeCells({ id, title, rows: windows.kH, columns: windows.kW, pick: act.choose }));
  const toInput = ledger({ "to-input": { text: "" }, windows: { text: "" }, input: { text: "", total: true } });
  const toKernel = ledger({
    "to-kernel": { text: "" },
    kernel: { text: `its gradient: the sum over all ${all} windows`, total: true },
  });
  const toBias = ledger({
    g: { text: "g, from this output" },
    bias: { text: `its gradient: the sum of all ${all} g`, total: true },
  });

  function update() {
    const place = [state.row, state.column];
    const pixel = windows.pixel(place, state.cell);
    const [i, j] = state.cell;
    const g = upstream.at(...place);
    const element = (k, l) => input.at(...windows.pixel(place, [k, l]));
    const outside = (k, l) => !windows.inside(windows.pixel(place, [k, l]));
    source.draw([
      { at: pixel, colour: "--blue", line: 2 },
      { at: windows.start(place), size: windows.extent },
    ]);
    target.draw([{ at: place }]);
    matrix.draw(place, parts.local, (k, l) => g * kernel.at(k, l));
    cells[0].show(kernel.at, state.cell);
    cells[1].show((k, l) => g * kernel.at(k, l), state.cell, outside);
    cells[2].show(element, state.cell, outside);
    cells[3].show((k, l) => g * element(k, l), state.cell, outside);
    const over = windows.containing(pixel);
    const inside = windows.inside(pixel);
    const where = inside ? `pixel (${pixel.join(", ")})` : "padding, whose gradient is dropped";
    toInput.set(
      "to-input",
      g * kernel.at(i, j),
      `g × kernel (${i}, ${j}) = ${shown(g)} × ${shown(kernel.at(i, j))}, to ${where}`,
    );
    toInput.set(
      "windows",
      sum(over.map((window) => upstream.at(...window.place) * kernel.at(...window.element))),
      `col2im: from all ${over.length} windows of channel ${state.channel} over this pixel`,
    );
    toInput.set("input", inside ? gradient.at(...pixel) : "none", "the pixel's gradient: from all output channels");
    toKernel.set("to-kernel", g * element(i, j), `g × window (${i}, ${j}) = ${shown(g)} × ${shown(element(i, j))}`);
    toKernel.set("kernel", ofKernel.at(i, j));
    toBias.set("g", g);
    toBias.set("bias", unit.bias_gradient);
    return (
      `Gradient of output (${place.join(", ")}) of ${step.title}, channel ${state.channel}: g = ` +
      `${shown(g)}. Times the kernel it is ` +
      `added to the input's gradient in ${windowText(windows, place)}; times the window, to the kernel's ` +
      `gradient; itself, to the bias's.`
    );
  }
  return {
    output: upstream,
    update,
    nodes: [
      convolutionChoices(step, state, act, parts),
      figures(source.node, matrix.node, h("div", {}, target.node, pad(target, act.largest))),
      figures(
        h("div", {}, h("h3", {}, "To the input's gradient"), cells[0].node, cells[1].node, toInput.node),
        h("div", {}, h("h3", {}, "To the kernel's gradient"), cells[2].node, cells[3].node, toKernel.node),
        h("div", {}, h("h3", {}, "To the bias's gradient"), toBias.node),
      ),
    ],
  };
}
