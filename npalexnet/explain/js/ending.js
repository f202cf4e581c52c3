// The end: softmax, the loss, and the gradient with which the way back begins.

function viewSoftmax(step, state) {
  const logits = numbersOf(edgeOf(step.input).value);
  const gradients = numbersOf(edgeOf(step.input).gradient);
  const highest = Math.max(...logits);
  const exponentials = [...logits].map((logit) => Math.exp(logit - highest));
  const total = sum(exponentials);
  const rest = logits.length - step.channels.length;
  const others = [...logits.keys()].filter((k) => !step.channels.includes(k));
  const list = table(
    state.backward
      ? ["class", "probability p", "target t", "p − t, the logit's gradient"]
      : ["class", "logit z", `exp(z − ${shown(highest)})`, "probability p: that / the sum"],
    "The classes",
  );
  const lines = ledger(
    state.backward
      ? { sum: { text: "all gradients add up to 0, but for rounding", total: true } }
      : {
          sum: { text: "the sum of the exponentials" },
          loss: { text: `loss: −log p of ${data.classes[data.label]}`, total: true },
        },
  );

  function cellsOf(k) {
    const p = exponentials[k] / total;
    const numbers = state.backward ? [p, Number(k === data.label), gradients[k]] : [logits[k], exponentials[k], p];
    return { cells: [data.classes[k], ...numbers.map((value) => shown(value))], mark: k === data.label };
  }

  function restCells() {
    const name = `the other ${counted(rest)}, added`;
    const p = sum(others.map((k) => exponentials[k]));
    const numbers = state.backward ? [p / total, 0, sum(others.map((k) => gradients[k]))] : ["", p, p / total];
    return { cells: [name, ...numbers.map((value) => (value === "" ? "" : shown(value)))] };
  }

  function update() {
    list.fill([...step.channels.map(cellsOf), ...(rest ? [restCells()] : [])]);
    const p = exponentials[data.label] / total;
    const name = data.classes[data.label];
    if (state.backward) {
      lines.set("sum", sum([...gradients]));
      return (
        `The way back begins here: the gradient of the loss with respect to a logit is its ` +
        `probability, less 1 for ${name}: ${shown(gradients[data.label])}.`
      );
    }
    lines.set("sum", total);
    lines.set("loss", -Math.log(p));
    return (
      `Softmax makes probabilities of ${counted(logits.length)} logits; ${name} gets ${shown(p)}, so ` +
      `the loss is ${shown(-Math.log(p))}.`
    );
  }
  return { update, still: true, nodes: [list.node, lines.node] };
}
