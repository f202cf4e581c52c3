// A convolution, forward: window times kernel, summed over the channels, plus the bias.

function convolutionParts(step, state) {
  const unit = step.units[state.channel];
  const c = Math.max(0, unit.inputs.indexOf(state.input));
  const first = Math.floor(state.channel / (data.edges[step.output].shape[0] / step.groups)) * step.width;
  return { unit, c, windows: windowsOf(step), input: unit.inputs[c], local: unit.inputs[c] - first };
}

function convolutionChoices(step, state, act, parts) {
  const total = data.edges[step.output].shape[0];
  const names = parts.unit.inputs.map((channel) => ({
    key: channel,
    text: step.input === 0 ? channelName(0, channel) : String(channel),
  }));
  return h(
    "div",
    { class: "choices" },
    chooser(
      "output",
      `Output channel (${step.channels.length} of ${total}, those with the highest outputs)`,
      step.channels.map((channel) => ({ key: channel, text: String(channel) })),
      state.channel,
      (channel) => act.go({ channel }),
    ),
    chooser(
      "input",
      `Input channel (${parts.unit.others ? `${names.length} of ${step.width}, those that add most` : "all"})`,
      names,
      parts.input,
      (input) => act.go({ input }),
    ),
  );
}

function convolutionForward(step, state, act) {
  const parts = convolutionParts(step, state);
  const { unit, c, windows } = parts;
  const inputs = inputGrids(step, unit);
  const kernels = unit.inputs.map((_, k) => kernelOf(step, unit, k, "kernels"));
  const rest = unit.rest && gridOf(numbersOf(unit.rest), windows.rows, windows.columns);
  const output = mapOf(step.output, state.channel, "value");
  const name = channelName(step.input, parts.input);
  const source = makeMap({
    id: "source",
    title: step.input === 0 ? "Input: the picture" : `Input, ${name}`,
    grid: inputs[c],
    margin: windows.margin,
    picture: step.input === 0 ? act.picture : undefined,
  });
  const target = makeMap({ id: "target", title: `Output, channel ${state.channel}`, grid: output, pick: act.point });
  const matrix = columnsFigure(step, "Columns matrix");
  const cells = [
    ["window", `Window, ${name}`],
    ["kernel", "Kernel"],
    ["products", "Products"],
  ].map(([id, title]) =>
    makeCells({
      id,
      title,
      rows: windows.kH,
      columns: windows.kW,
      pick: act.choose,
    }),
  );
  const one = h("p", { id: "cell" });
  const lines = ledger({
    ...Object.fromEntries(
      unit.inputs.map((channel, k) => [
        `part-${k}`,
        { text: `${channelName(step.input, channel)}: sum of ${windows.kH * windows.kW} products` },
      ]),
    ),
    ...(rest ? { rest: { text: `the other ${unit.others} channels` } } : {}),
    bias: { text: `bias of channel ${state.channel}` },
    output: { text: "output", total: true },
    ...(act.follows("relu") ? { relu: { text: "after ReLU, max(0, output)" } } : {}),
  });

  function update() {
    const place = [state.row, state.column];
    const element = (grid) => (i, j) => grid.at(...windows.pixel(place, [i, j]));
    const products = (k) => (i, j) => element(inputs[k])(i, j) * kernels[k].at(i, j);
    const outside = (i, j) => !windows.inside(windows.pixel(place, [i, j]));
    source.draw([
      { at: windows.start(place), size: windows.extent },
      { at: windows.pixel(place, state.cell), colour: "--blue", line: 2 },
    ]);
    target.draw([{ at: place }]);
    matrix.draw(place, parts.local, element(inputs[c]));
    cells[0].show(element(inputs[c]), state.cell, outside);
    cells[1].show(kernels[c].at, state.cell);
    cells[2].show(products(c), state.cell, outside);
    one.textContent = cellText(windows, place, state.cell, element(inputs[c]), kernels[c].at);
    const sums = unit.inputs.map((_, k) => sum(everyCell(windows, products(k))));
    sums.forEach((value, k) => lines.set(`part-${k}`, value));
    if (rest) lines.set("rest", rest.at(...place));
    lines.set("bias", unit.bias);
    const total = sum(sums) + (rest ? rest.at(...place) : 0) + unit.bias;
    lines.set("output", total);
    if (act.follows("relu")) lines.set("relu", Math.max(0, total));
    const found = output.at(...place);
    return (
      `Output (${place.join(", ")}) of ${step.title}, channel ${state.channel}: window ` +
      `${windowText(windows, place)}, ` +
      `row ${counted(place[0] * windows.columns + place[1])} of the columns matrix; the products and the bias ` +
      `add up to ${shown(found)}${act.follows("relu") ? `, after ReLU ${shown(Math.max(0, found))}` : ""}.`
    );
  }
  return {
    output,
    update,
    nodes: [
      convolutionChoices(step, state, act, parts),
      figures(source.node, matrix.node, h("div", {}, target.node, pad(target, act.largest))),
      h(
        "div",
        { class: "matrices" },
        cells[0].node,
        h("i", { "aria-hidden": "true" }, "×"),
        cells[1].node,
        h("i", { "aria-hidden": "true" }, "="),
        cells[2].node,
      ),
      one,
      h("h3", {}, "The sum"),
      lines.node,
    ],
  };
}

function cellText(windows, place, cell, x, kernel) {
  const pixel = windows.pixel(place, cell);
  const where = windows.inside(pixel) ? `pixel (${pixel.join(", ")})` : "padding, which counts as 0";
  const numbers = `${shown(x(...cell))} × ${shown(kernel(...cell))} = ${shown(x(...cell) * kernel(...cell))}`;
  return `Row ${cell[0]}, column ${cell[1]} of the window: ${numbers}; ${where}.`;
}

function everyCell(windows, at) {
  return Array.from({ length: windows.kH * windows.kW }, (_, k) => at(Math.floor(k / windows.kW), k % windows.kW));
}
