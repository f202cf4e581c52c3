// What works number by number: the picture, ReLU, flatten, dropout.

function channelChoice(step, state, act, names = String) {
  if (isVector(step.input)) return h("div");
  return h(
    "div",
    { class: "choices" },
    chooser(
      "output",
      "Channel",
      step.channels.map((channel) => ({ key: channel, text: names(channel) })),
      state.channel,
      (channel) => act.go({ channel }),
    ),
  );
}

// "(3, 5)", or of a vector its number.
function placeText(index, state) {
  const place = [state.row, state.column];
  if (!isVector(index)) return `(${place.join(", ")}) of channel ${state.channel}`;
  return String(place[0] * mapOf(index, 0, "value").width + place[1]);
}

function viewImage(step, state, act) {
  const grid = mapOf(0, state.channel, state.backward ? "gradient" : "value");
  const name = channelName(0, state.channel);
  const picture = state.backward ? undefined : act.picture;
  const target = makeMap({
    id: "target",
    title: state.backward ? `Gradient of the picture, ${name}` : "The picture",
    grid,
    pick: act.point,
    picture,
  });
  const lines = ledger(
    Object.fromEntries(step.channels.map((channel) => [`channel-${channel}`, { text: channelName(0, channel) }])),
  );
  function update() {
    const place = [state.row, state.column];
    target.draw([{ at: place, line: 3 }]);
    const values = step.channels.map((channel) =>
      mapOf(0, channel, state.backward ? "gradient" : "value").at(...place),
    );
    step.channels.forEach((channel, k) => lines.set(`channel-${channel}`, values[k]));
    const what = state.backward ? "Gradient of the loss with respect to pixel" : "Pixel";
    return (
      `${what} (${place.join(", ")}): ` +
      `${values.map((value, k) => `${channelName(0, step.channels[k])} ${shown(value)}`).join(", ")}.`
    );
  }
  return {
    output: grid,
    update,
    nodes: [
      channelChoice(step, state, act, (channel) => channelName(0, channel)),
      figures(h("div", {}, target.node, pad(target, act.largest))),
      lines.node,
    ],
  };
}

function viewRelu(step, state, act) {
  const [x, y, gradX, gradY] = [
    [step.input, "value"],
    [step.output, "value"],
    [step.input, "gradient"],
    [step.output, "gradient"],
  ].map(([index, key]) => mapOf(index, state.channel, key));
  const [from, to] = state.backward ? [gradX, gradY] : [x, y];
  const of = state.backward ? "Gradient of the " : "";
  const source = makeMap({ id: "source", title: of ? `${of}input` : "Input", grid: from });
  const target = makeMap({ id: "target", title: of ? `${of}output` : "Output", grid: to, pick: act.point });
  const lines = state.backward
    ? ledger({
        input: { text: "the input" },
        gate: { text: "gate: open where the input is above 0" },
        g: { text: "g, the gradient of the output" },
        "to-input": { text: "the gradient of the input: g if open, else 0", total: true },
      })
    : ledger({ input: { text: "the input" }, output: { text: "max(0, input)", total: true } });
  function update() {
    const place = [state.row, state.column];
    source.draw([{ at: place }]);
    target.draw([{ at: place }]);
    const open = x.at(...place) > 0;
    lines.set("input", x.at(...place));
    const where = `Output ${placeText(step.output, state)}, ${step.title}`;
    if (!state.backward) {
      lines.set("output", y.at(...place));
      return `${where}: max(0, ${shown(x.at(...place))}) = ${shown(y.at(...place))}.`;
    }
    lines.set("gate", open ? "open" : "closed");
    lines.set("g", gradY.at(...place));
    lines.set("to-input", gradX.at(...place));
    return (
      `${where}: the input was ${shown(x.at(...place))}, so the gate is ${open ? "open" : "closed"}; of ` +
      `the gradient ${shown(gradY.at(...place))} ` +
      `${open ? "all" : "nothing"} passes.`
    );
  }
  return {
    output: to,
    update,
    nodes: [
      channelChoice(step, state, act),
      figures(source.node, h("div", {}, target.node, pad(target, act.largest))),
      lines.node,
    ],
  };
}

function viewFlatten(step, state, act) {
  const grid = mapOf(step.input, state.channel, state.backward ? "gradient" : "value");
  const vector = numbersOf(edgeOf(step.output)[state.backward ? "gradient" : "value"]);
  const target = makeMap({
    id: "target",
    title: `${state.backward ? "Gradient of the input" : "Input"}, channel ${state.channel}`,
    grid,
    pick: act.point,
  });
  const lines = ledger({ place: { text: "place in the vector" }, output: { text: "the number there", total: true } });
  function update() {
    const place = (state.channel * grid.height + state.row) * grid.width + state.column;
    target.draw([{ at: [state.row, state.column] }]);
    lines.set(
      "place",
      `${state.channel} × ${grid.height * grid.width} + ${state.row} × ${grid.width} + ${state.column} = ` +
        `${counted(place)}`,
    );
    lines.set("output", vector[place]);
    return (
      `Number (${state.row}, ${state.column}) of channel ${state.channel} is number ${counted(place)} ` +
      `of the vector: ${shown(vector[place])}.`
    );
  }
  return {
    output: grid,
    update,
    nodes: [channelChoice(step, state, act), figures(h("div", {}, target.node, pad(target, act.largest))), lines.node],
  };
}

function viewDropout(step, state, act) {
  const key = state.backward ? "gradient" : "value";
  const x = mapOf(step.input, 0, key);
  const kept = numbersOf(step.kept);
  const factor = step.p < 1 ? 1 / (1 - step.p) : 0;
  const masked = gridOf(
    x.values.map((value, k) => (kept[k] ? value * factor : 0)),
    x.height,
    x.width,
  );
  const of = state.backward ? "Gradient of the " : "";
  const words = state.backward ? ["input", "input in training"] : ["Output, equal to the input", "Output in training"];
  const target = makeMap({ id: "target", title: of + words[0], grid: x, pick: act.point });
  const other = makeMap({ id: "masked", title: of + words[1], grid: masked });
  const lines = ledger({
    output: {
      text: state.backward ? "the gradient; here all of it passes" : "the number; here it is left as it is",
      total: true,
    },
    mask: { text: `a mask of training, with seed ${step.seed}` },
    masked: { text: `in training: × mask / (1 − ${step.p})` },
  });
  const share = sum([...kept]) / kept.length;
  function update() {
    const place = [state.row, state.column];
    const unit = place[0] * x.width + place[1];
    target.draw([{ at: place }]);
    other.draw([{ at: place }]);
    lines.set("output", x.at(...place));
    lines.set("mask", kept[unit] ? "1, stays" : "0, dropped");
    lines.set("masked", masked.at(...place));
    return (
      `Unit ${counted(unit)}: ${shown(x.at(...place))}; in evaluation, dropout does nothing. In training ` +
      `this mask would make it ${shown(masked.at(...place))}.`
    );
  }
  return {
    output: x,
    update,
    nodes: [
      paragraph(
        `The numbers of this page are those of the network in evaluation, where dropout is the identity. In ` +
          `training each number is dropped with probability ${step.p}; ` +
          `of this mask's ${counted(kept.length)} numbers ${(100 * share).toFixed(1)} % stay, and are ` +
          `divided by 1 − ${step.p}. The gradient goes through the same mask.`,
      ),
      figures(h("div", {}, target.node, pad(target, act.largest)), other.node),
      lines.node,
    ],
  };
}
