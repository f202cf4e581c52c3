// Pooling: the largest number of a window, or the average; backward, the gradient of the winner, or a part for each.

// The windows of average pooling: parts of the rows and of the columns.
function partsOf(step, [p, q]) {
  const [[top, bottom], [left, right]] = [step.rows[p], step.columns[q]];
  return { top, left, rows: bottom - top, columns: right - left };
}

function poolingMaps(step, state, act, key, margin) {
  const input = mapOf(step.input, state.channel, key);
  const output = mapOf(step.output, state.channel, key);
  const of = key === "gradient" ? "Gradient of the " : "";
  const title = (words) => (of ? of + words.toLowerCase() : words);
  return {
    input,
    output,
    source: makeMap({ id: "source", title: `${title("Input")}, channel ${state.channel}`, grid: input, margin }),
    target: makeMap({
      id: "target",
      title: `${title("Output")}, channel ${state.channel}`,
      grid: output,
      pick: act.point,
    }),
  };
}

function maxPooling(step, state, act) {
  const windows = windowsOf(step);
  const key = state.backward ? "gradient" : "value";
  const { output, source, target } = poolingMaps(step, state, act, key, windows.margin);
  const values = mapOf(step.input, state.channel, "value");
  const gradients = mapOf(step.input, state.channel, "gradient");
  const upstream = mapOf(step.output, state.channel, "gradient");
  const winners = gridOf(numbersOf(step.winners[state.channel]), windows.rows, windows.columns);
  const winner = (place) => [Math.floor(winners.at(...place) / windows.kW), winners.at(...place) % windows.kW];
  const window = makeCells({
    id: "window",
    title: "Window of the input",
    rows: windows.kH,
    columns: windows.kW,
    pick: act.choose,
  });
  const scattered = makeCells({
    id: "to-input",
    title: "To the input's gradient",
    rows: windows.kH,
    columns: windows.kW,
    pick: act.choose,
  });
  const lines = state.backward
    ? ledger({
        g: { text: "g, the gradient of this output" },
        "to-input": { text: "" },
        input: { text: "the pixel's gradient", total: true },
      })
    : ledger({ output: { text: "", total: true } });

  function update() {
    const place = [state.row, state.column];
    const best = winner(place);
    const chosen = state.backward ? state.cell : best;
    const at = windows.pixel(place, best);
    const outside = (i, j) => !windows.inside(windows.pixel(place, [i, j]));
    const frame = { at: windows.start(place), size: windows.extent };
    source.draw([frame, { at: windows.pixel(place, chosen), colour: "--blue", line: 3 }]);
    target.draw([{ at: place }]);
    window.show((i, j) => values.at(...windows.pixel(place, [i, j])), best, outside);
    const where = `Output (${place.join(", ")}) of ${step.title}, channel ${state.channel}`;
    if (!state.backward) {
      const equal = everyCell(windows, (i, j) => values.at(...windows.pixel(place, [i, j])) === output.at(...place));
      const ties = equal.filter(Boolean).length > 1 ? `, the first of ${equal.filter(Boolean).length} equal ones` : "";
      const pixelText = `at pixel (${at.join(", ")})${ties}`;
      lines.set("output", output.at(...place), `the largest of ${windows.kH * windows.kW}, ${pixelText}`);
      return (
        `${where}: window ${windowText(windows, place)}; the largest number, ${shown(output.at(...place))}, ` +
        `is ${pixelText}.`
      );
    }
    const g = upstream.at(...place);
    const pixel = windows.pixel(place, chosen);
    const won = windows
      .containing(pixel)
      .filter(({ place: other, element }) => String(winner(other)) === String(element));
    scattered.show((i, j) => (i === best[0] && j === best[1] ? g : 0), chosen, outside);
    lines.set("g", g);
    lines.set(
      "to-input",
      won.length ? won.map((one) => shown(upstream.at(...one.place))).join(" + ") : "0",
      `pixel (${pixel.join(", ")}) is in ${windows.containing(pixel).length} windows, and the largest in ` +
        `${won.length}` +
        `${won.length ? `: of ${won.map((one) => `(${one.place.join(", ")})`).join(", ")}` : ""}`,
    );
    lines.set("input", gradients.at(...pixel));
    return (
      `${where}: its gradient, ${shown(g)}, goes to the pixel that was the largest, ` +
      `(${at.join(", ")}), and to no other.`
    );
  }
  return {
    output: state.backward ? upstream : output,
    update,
    cell: winner,
    nodes: [
      channelChoice(step, state, act),
      figures(source.node, h("div", {}, target.node, pad(target, act.largest))),
      h("div", { class: "matrices" }, window.node, ...(state.backward ? [scattered.node] : [])),
      lines.node,
    ],
  };
}

function averagePooling(step, state, act) {
  const { output, source, target, input } = poolingMaps(step, state, act, state.backward ? "gradient" : "value");
  const words = h("p", { id: "cell" });
  const lines = ledger({
    count: { text: "numbers in this part" },
    output: { text: state.backward ? "g, the gradient of this output" : "their average", total: true },
    ...(state.backward ? { "to-input": { text: "to each of them: g / count" } } : {}),
  });

  function update() {
    const place = [state.row, state.column];
    const part = partsOf(step, place);
    source.draw([{ at: [part.top, part.left], size: [part.rows, part.columns] }]);
    target.draw([{ at: place }]);
    const count = part.rows * part.columns;
    const numbers = Array.from({ length: count }, (_, k) =>
      input.at(part.top + Math.floor(k / part.columns), part.left + (k % part.columns)),
    );
    words.textContent = `${state.backward ? "The gradients there" : "The numbers"}: ${numbers
      .slice(0, 16)
      .map((value) => shown(value))
      .join(", ")}${count > 16 ? ", …" : ""}`;
    lines.set("count", String(count));
    lines.set("output", output.at(...place));
    if (state.backward) lines.set("to-input", output.at(...place) / count);
    return (
      `Output (${place.join(", ")}) of ${step.title}, channel ${state.channel}: ` +
      (state.backward
        ? `its gradient, ${shown(output.at(...place))}, goes to ` +
          `${count === 1 ? "one pixel" : `${count} pixels in equal parts`}.`
        : `the average of ${count} ${count === 1 ? "number" : "numbers"} is ${shown(output.at(...place))}.`)
    );
  }
  return {
    output,
    update,
    nodes: [
      channelChoice(step, state, act),
      figures(source.node, h("div", {}, target.node, pad(target, act.largest))),
      words,
      lines.node,
    ],
  };
}
