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
    id: "source", title: `Gradient of the input, ${name}`, grid: gradient, margin: windows.margin,
    pick: (down, across, firmly) => firmly && act.toPixel(down, across, windows),
  });
  const target = makeMap({ id: "target", title: `Gradient of the output, channel ${state.channel}`, grid: upstream, pick: act.point });
  const matrix = columnsFigure(step, "Gradient of the columns matrix");
  const cells = [
    ["kernel", "Kernel"], ["to-input", `× g: to the input's gradient, ${name}`], ["window", `Window, ${name}`],
    ["to-kernel", "× g: to the kernel's gradient"],
  ].map(([id, title]) => makeCells({ id, title, rows: windows.kH, columns: windows.kW, pick: act.choose }));
  const lines = ledger({
    g: { text: "g, the gradient of this output", total: true },
    "to-input": { text: "" }, windows: { text: "" }, input: { text: "" },
    "to-kernel": { text: "" }, kernel: { text: "" },
    "to-bias": { text: "to the bias's gradient: g" },
    bias: { text: `the bias's gradient: the sum of all ${all} g`, total: true },
  });

  function update() {
    const place = [state.row, state.column];
    const pixel = windows.pixel(place, state.cell);
    const [i, j] = state.cell;
    const g = upstream.at(...place);
    const element = (k, l) => input.at(...windows.pixel(place, [k, l]));
    const outside = (k, l) => !windows.inside(windows.pixel(place, [k, l]));
    source.draw([{ at: pixel, colour: "--blue", line: 2 }, { at: windows.start(place), size: windows.extent }]);
    target.draw([{ at: place }]);
    matrix.draw(place, parts.local, (k, l) => g * kernel.at(k, l));
    cells[0].show(kernel.at, state.cell);
    cells[1].show((k, l) => g * kernel.at(k, l), state.cell, outside);
    cells[2].show(element, state.cell, outside);
    cells[3].show((k, l) => g * element(k, l), state.cell, outside);
    const over = windows.containing(pixel);
    const inside = windows.inside(pixel);
    const where = inside ? `pixel (${pixel.join(", ")})` : "padding, whose gradient is dropped";
    lines.set("g", g);
    lines.set("to-input", g * kernel.at(i, j), `g × kernel (${i}, ${j}) = ${shown(g)} × ${shown(kernel.at(i, j))}, to ${where}`);
    lines.set("windows", sum(over.map((window) => upstream.at(...window.place) * kernel.at(...window.element))),
      `col2im: from all ${over.length} windows of channel ${state.channel} over this pixel`);
    lines.set("input", inside ? gradient.at(...pixel) : "none", "the pixel's gradient: from all output channels");
    lines.set("to-kernel", g * element(i, j), `g × window (${i}, ${j}) = ${shown(g)} × ${shown(element(i, j))}, to this kernel's number`);
    lines.set("kernel", ofKernel.at(i, j), `its gradient: the sum over all ${all} windows`);
    lines.set("to-bias", g);
    lines.set("bias", unit.bias_gradient);
    return `Gradient of output (${place.join(", ")}) of ${step.title}, channel ${state.channel}: g = ${shown(g)}. Times the kernel it is ` +
      `added to the input's gradient in ${windowText(windows, place)}; times the window, to the kernel's gradient; itself, to the bias's.`;
  }
  return {
    output: upstream, update,
    nodes: [
      convolutionChoices(step, state, act, parts), row(source.node, matrix.node, h("div", {}, target.node, pad(target, act.largest))),
      h("div", { class: "matrices" }, cells[0].node, cells[1].node), h("div", { class: "matrices" }, cells[2].node, cells[3].node),
      h("h3", {}, "What this window adds, and what comes of all"), lines.node,
    ],
  };
}
