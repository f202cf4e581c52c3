// A linear layer: of each output that can be chosen, the largest products, and the sum of the others.

function unitName(step, unit) {
  return step.output === data.edges.length - 1 ? data.classes[unit] : `unit ${unit}`;
}

// Where an input was before it was flattened; nothing if it was not.
function beforeFlatten(step, input) {
  let before = step.input - 1;
  while (data.steps[before]?.kind === "dropout") before -= 1;
  if (data.steps[before]?.kind !== "flatten") return "";
  const shape = edgeOf(before).shape;
  const [, height, width] = shape;
  const place = [Math.floor(input / width) % height, input % width];
  return (
    `The inputs are the ${shapeText(shape)} numbers that were flattened: input ${counted(input)} is ` +
    `(${place.join(", ")}) of channel ${Math.floor(input / (height * width))}.`
  );
}

function viewLinear(step, state, act) {
  const unit = step.units[state.channel];
  const weights = numbersOf(unit.weights);
  const [x, gradX] = ["value", "gradient"].map((key) => numbersOf(edgeOf(step.input)[key]));
  const [y, gradY] = ["value", "gradient"].map((key) => numbersOf(edgeOf(step.output)[key]));
  const products = unit.inputs.map((input, k) => x[input] * weights[k]);
  const g = gradY[state.channel];
  const name = unitName(step, state.channel);
  const grid = mapOf(step.output, 0, state.backward ? "gradient" : "value");
  const map = makeMap({
    id: "target",
    title: `${state.backward ? "Gradients of all" : "All"} ${counted(y.length)} outputs, row by row`,
    grid,
  });
  const list = table(
    state.backward
      ? [
          "input",
          "its value x",
          "weight w",
          "g × w, to its gradient",
          "its gradient, from all outputs",
          "g × x, the weight's gradient",
        ]
      : ["input", "its value x", "weight w", "x × w"],
    "The largest products",
  );
  const lines = ledger(
    state.backward
      ? { g: { text: `g, the gradient of ${name}`, total: true }, bias: { text: "the bias's gradient: g" } }
      : {
          products: { text: `the ${products.length} products above` },
          ...(unit.others ? { rest: { text: `the other ${counted(unit.others)} products` } } : {}),
          bias: { text: "bias" },
          output: { text: name, total: true },
          ...(act.follows("relu") ? { relu: { text: "after ReLU, max(0, output)" } } : {}),
        },
  );

  function update() {
    map.draw([{ at: [Math.floor(state.channel / grid.width), state.channel % grid.width] }]);
    list.fill(
      unit.inputs.map((input, k) => ({
        cells: state.backward
          ? [input, x[input], weights[k], g * weights[k], gradX[input], g * x[input]].map((value, i) =>
              i ? shown(value) : counted(value),
            )
          : [input, x[input], weights[k], products[k]].map((value, i) => (i ? shown(value) : counted(value))),
      })),
    );
    if (state.backward) {
      lines.set("g", g);
      lines.set("bias", g);
      return (
        `Output ${name} of ${step.title}: its gradient, ${shown(g)}, times a weight goes to that ` +
        `input; times an input, it is that weight's gradient.`
      );
    }
    const total = sum(products) + unit.rest + unit.bias;
    lines.set("products", sum(products));
    if (unit.others) lines.set("rest", unit.rest);
    lines.set("bias", unit.bias);
    lines.set("output", total);
    if (act.follows("relu")) lines.set("relu", Math.max(0, total));
    return (
      `Output ${name} of ${step.title}: ${counted(x.length)} products and the bias add up to ` +
      `${shown(y[state.channel])}.`
    );
  }
  const last = step.output === data.edges.length - 1;
  const origin = beforeFlatten(step, unit.inputs[0]);
  return {
    output: grid,
    update,
    nodes: [
      h(
        "div",
        { class: "choices" },
        chooser(
          "output",
          step.channels.length < y.length
            ? `Output (${step.channels.length} of ${counted(y.length)}, the highest)`
            : "Output",
          step.channels.map((key) => ({ key, text: unitName(step, key) })),
          state.channel,
          (channel) => act.go({ channel }),
        ),
      ),
      ...(last ? [] : [figures(map.node)]),
      list.node,
      ...(origin ? [h("p", { id: "origin" }, origin)] : []),
      lines.node,
    ],
    still: last,
  };
}
