// A small matrix with its numbers, of which one is chosen: by pointing, tapping, or arrow keys.

// `pick(i, j)` is called for a cell. `show(at, chosen, outside)` fills it: at(i, j) is a number, outside(i, j) says
// whether it is padding.
function makeCells({ id, title, rows, columns, pick }) {
  const caption = h("figcaption", {}, title);
  const digits = columns > 7 ? 2 : 3;
  const cell = (i, j) =>
    h("td", {
      role: "gridcell",
      tabindex: "-1",
      onclick: () => pick(i, j),
      onkeydown: (event) => keyed(event, i, j),
    });
  const counting = (count) => [...Array(count).keys()];
  const cells = counting(rows).map((i) => counting(columns).map((j) => cell(i, j)));
  const grid = h(
    "table",
    { id, class: `cells${columns > 7 ? " dense" : ""}`, role: "grid", "aria-label": title },
    h("tbody", {}, ...cells.map((line) => h("tr", {}, ...line))),
  );

  function keyed(event, i, j) {
    const [down, across] = WALKS[event.key] ?? [0, 0];
    if (!down && !across) return;
    event.preventDefault();
    const to = [Math.min(rows - 1, Math.max(0, i + down)), Math.min(columns - 1, Math.max(0, j + across))];
    pick(...to);
    cells[to[0]][to[1]].focus();
  }

  function show(at, chosen, outside = () => false) {
    const scale = scaleOf(
      cells.flatMap((line, i) => line.map((_, j) => at(i, j))),
      digits,
    );
    caption.textContent = title + scale.note;
    cells.forEach((line, i) =>
      line.forEach((node, j) => {
        const value = at(i, j);
        const here = chosen !== undefined && chosen[0] === i && chosen[1] === j;
        node.textContent = scale.write(value);
        node.style.setProperty("--share", String(Math.sqrt(Math.abs(value) / scale.largest)));
        node.className = `${value < 0 ? "minus" : "plus"}${here ? " chosen" : ""}${outside(i, j) ? " outside" : ""}`;
        node.setAttribute("tabindex", here || (chosen === undefined && i + j === 0) ? "0" : "-1");
        node.setAttribute("aria-selected", String(here));
      }),
    );
  }
  return { node: h("figure", { class: "matrix" }, caption, grid), show };
}
