// What is chosen, and what is shown of it.

const VIEWS = {
  image: () => viewImage,
  convolution: (backward) => (backward ? convolutionBackward : convolutionForward),
  relu: () => viewRelu,
  normalization: () => viewNormalization,
  "max pooling": () => maxPooling,
  "average pooling": () => averagePooling,
  flatten: () => viewFlatten,
  dropout: () => viewDropout,
  linear: () => viewLinear,
  softmax: () => viewSoftmax,
};

// The layers with a first one, the picture, and a last one, softmax.
function allSteps() {
  const steps = data.steps.map((step, i) => ({ ...step, input: i, output: i + 1, shape: data.edges[i + 1].shape }));
  const costs = { multiply_adds: 0, parameters: 0 };
  const image = {
    ...costs,
    kind: "image",
    title: "image",
    name: "",
    channels: Object.keys(data.edges[0].maps).map(Number),
    input: 0,
    output: 0,
    shape: data.edges[0].shape,
  };
  const last = steps.length;
  const softmax = {
    ...costs,
    kind: "softmax",
    title: "softmax",
    name: "",
    channels: steps[last - 1].channels,
    input: last,
    output: last,
    shape: data.edges[last].shape,
  };
  return [image, ...steps, softmax];
}

function run() {
  const steps = allSteps();
  const state = {
    layer: 1,
    backward: false,
    channel: steps[1].channels[0],
    input: undefined,
    row: 0,
    column: 0,
    cell: steps[1].kernel.map((size) => Math.floor(size / 2)),
    held: false,
  };
  const panel = document.getElementById("layer");
  const lit = document.getElementById("lit");
  const modes = [document.getElementById("forward"), document.getElementById("backward")];
  const strip = makeStrip(steps, (layer) => act.go({ layer }));
  let view;

  const act = {
    picture: undefined,
    go(changes) {
      const before = state.layer;
      Object.assign(state, changes);
      const step = steps[state.layer];
      if (state.layer !== before && !step.channels.includes(state.channel)) state.channel = step.channels[0];
      if (state.layer !== before && step.kernel) state.cell = step.kernel.map((size) => Math.floor(size / 2));
      state.held = false;
      render();
      if (state.layer !== before || changes.channel !== undefined || !lively()) act.largest();
    },
    point(down, across, firmly) {
      if (!firmly && state.held) return;
      if (firmly) state.held = !(state.held && down === state.row && across === state.column);
      state.row = down;
      state.column = across;
      if (view.cell) state.cell = view.cell([down, across]);
      update();
    },
    choose(i, j) {
      state.cell = [i, j];
      state.held = true;
      update();
    },
    // To a pixel of the input: the window stays if it has the pixel, else it is the middle one of those that have it.
    toPixel(down, across, windows) {
      const over = windows.containing([down, across]);
      if (!over.length) return;
      const chosen =
        over.find(({ place }) => place[0] === state.row && place[1] === state.column) ??
        over[Math.floor(over.length / 2)];
      [state.row, state.column] = chosen.place;
      act.choose(...chosen.element);
    },
    largest() {
      if (view.output && !view.still) act.point(...largestIn(view.output, state.backward ? Math.abs : Number), true);
      state.held = false;
    },
    follows: (kind) => steps[state.layer + 1]?.kind === kind,
  };

  function lively() {
    return (
      !view.output || (view.output.inside(state.row, state.column) && view.output.at(state.row, state.column) !== 0)
    );
  }

  function update() {
    lit.textContent = view.update();
  }

  function render() {
    const step = steps[state.layer];
    const focused = document.activeElement?.id;
    view = VIEWS[step.kind](state.backward)(step, state, act);
    if (view.output && !view.output.inside(state.row, state.column)) [state.row, state.column] = [0, 0];
    document.getElementById("what").textContent = step.name ? `${step.title} (${step.name})` : step.title;
    document.getElementById("shapes").textContent = describe(step);
    document.getElementById("formula").textContent = (FORMULAS[step.kind] ?? ["", ""])[Number(state.backward)];
    document.getElementById("view").replaceChildren(...view.nodes);
    modes.forEach((button, i) => button.setAttribute("aria-pressed", String(Boolean(i) === state.backward)));
    strip.show(state.layer);
    panel.setAttribute("aria-labelledby", `tab-${state.layer}`);
    update();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  document.getElementById("layers").append(strip.node);
  modes.forEach((button, i) => button.addEventListener("click", () => act.go({ backward: Boolean(i) })));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  render();
  act.largest();
  const picture = document.getElementById("picture");
  picture.decode().then(() => {
    act.picture = picture;
    if (state.layer < 2) render();
  });
}

run();
