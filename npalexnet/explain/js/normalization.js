// Response normalisation: x / d^beta, with d = k + alpha / size * the sum of the neighbours' squares.

function neighboursOf(step, state) {
  const [channels, height, width] = data.edges[step.input].shape;
  const offsets = Array.from({ length: step.size }, (_, i) => i - Math.floor(step.size / 2));
  const at = (channel) => mapOf(step.input, channel, "value");
  if (step.spatial) {
    const grid = at(state.channel);
    return (row, column) =>
      offsets
        .flatMap((down) => offsets.map((across) => [row + down, column + across]))
        .filter(([r, s]) => r >= 0 && s >= 0 && r < height && s < width)
        .map(([r, s]) => ({ name: `pixel (${r}, ${s})`, value: grid.at(r, s), own: r === row && s === column }));
  }
  const group = (channel) => Math.floor(channel / (channels / step.groups));
  const near = offsets
    .map((offset) => state.channel + offset)
    .filter((channel) => channel >= 0 && channel < channels && group(channel) === group(state.channel));
  return (row, column) =>
    near.map((channel) => ({
      name: `channel ${channel}`,
      value: at(channel).at(row, column),
      own: channel === state.channel,
    }));
}

function viewNormalization(step, state, act) {
  const key = state.backward ? "gradient" : "value";
  const neighbours = neighboursOf(step, state);
  const [x, gradX, gradY] = [
    [step.input, "value"],
    [step.input, "gradient"],
    [step.output, "gradient"],
  ].map(([index, what]) => mapOf(index, state.channel, what));
  const output = mapOf(step.output, state.channel, key);
  const through = gridOf(numbersOf(step.through[state.channel]), x.height, x.width);
  const of = state.backward ? "Gradient of the " : "";
  const source = makeMap({ id: "source", title: of ? `${of}input` : "Input", grid: state.backward ? gradX : x });
  const target = makeMap({ id: "target", title: of ? `${of}output` : "Output", grid: output, pick: act.point });
  const squares = table(
    [step.spatial ? "neighbouring pixel" : "neighbouring channel", "number", "square"],
    "The neighbours",
  );
  const common = {
    squares: { text: "sum of the squares" },
    d: { text: `d = ${step.k} + ${shown(step.scale)} × that sum` },
  };
  const lines = ledger(
    state.backward
      ? {
          ...common,
          g: { text: "g, the gradient of the output" },
          direct: { text: `g / d^${step.beta}` },
          through: { text: "through the divisors that this number is part of" },
          "to-input": { text: "the gradient of the input", total: true },
        }
      : { ...common, output: { text: `number / d^${step.beta}`, total: true } },
  );

  function update() {
    const place = [state.row, state.column];
    source.draw([{ at: place }]);
    target.draw([{ at: place }]);
    const near = neighbours(...place);
    squares.fill(
      near.map(({ name, value, own }) => ({ cells: [name, shown(value), shown(value * value)], mark: own })),
    );
    const total = sum(near.map(({ value }) => value * value));
    const d = step.k + step.scale * total;
    lines.set("squares", total);
    lines.set("d", d);
    const where = `Output (${place.join(", ")}) of ${step.title}, channel ${state.channel}`;
    if (!state.backward) {
      lines.set("output", x.at(...place) / d ** step.beta);
      return (
        `${where}: ${shown(x.at(...place))} divided by ${shown(d)} to the power of ${step.beta} is ` +
        `${shown(output.at(...place))}.`
      );
    }
    const direct = gradY.at(...place) / d ** step.beta;
    lines.set("g", gradY.at(...place));
    lines.set("direct", direct);
    lines.set("through", through.at(...place));
    lines.set("to-input", direct + through.at(...place));
    return (
      `${where}: of its gradient, ${shown(gradY.at(...place))}, the input gets ${shown(direct)} ` +
      `directly; with what comes through the divisors its gradient is ${shown(gradX.at(...place))}.`
    );
  }
  return {
    output,
    update,
    nodes: [
      channelChoice(step, state, act),
      figures(source.node, h("div", {}, target.node, pad(target, act.largest))),
      squares.node,
      lines.node,
    ],
  };
}
