// Elements of the page. Text is always text, never HTML.

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

// Buttons of which one is pressed.
function chooser(id, label, options, chosen, pick) {
  const buttons = options.map(({ key, text }) =>
    h(
      "button",
      {
        type: "button",
        id: `${id}-${key}`,
        "aria-pressed": String(key === chosen),
        onclick: () => pick(key),
      },
      text,
    ),
  );
  return h("div", { class: "chooser", role: "group", "aria-label": label }, h("span", {}, label), ...buttons);
}

// Lines of a sum: a name and a number each, which `set` changes.
function ledger(names) {
  const numbers = {};
  const lines = Object.entries(names).map(([key, { text, total }]) => {
    numbers[key] = { number: h("b", { "data-name": key }), words: h("span", {}, text) };
    return h("li", { class: total ? "total" : undefined }, numbers[key].words, numbers[key].number);
  });
  return {
    node: h("ul", { class: "ledger" }, ...lines),
    set(key, value, words) {
      numbers[key].number.textContent = typeof value === "number" ? shown(value) : value;
      if (words !== undefined) numbers[key].words.textContent = words;
    },
  };
}

function paragraph(...children) {
  return h("p", {}, ...children);
}

function figures(...children) {
  return h("div", { class: "figures" }, ...children);
}

function table(head, id) {
  const body = h("tbody");
  const node = h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": id },
    h(
      "table",
      { class: "list" },
      h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))),
      body,
    ),
  );
  const fill = (lines) =>
    body.replaceChildren(
      ...lines.map(({ cells, mark }) =>
        h(
          "tr",
          { class: mark ? "marked" : undefined },
          ...cells.map((cell, i) => h(i ? "td" : "th", i ? {} : { scope: "row" }, cell)),
        ),
      ),
    );
  return { node, fill };
}
