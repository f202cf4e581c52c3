// The strip of all layers, from the image to the class: tabs, walked by arrow keys.

function makeStrip(steps, pick) {
  const most = Math.max(...steps.map((step) => step.multiply_adds));
  const tabs = steps.map((step, i) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${i}`,
        "aria-controls": "layer",
        onclick: () => pick(i),
        onkeydown: (event) => keyed(event, i),
      },
      h("b", {}, step.title),
      h("span", {}, shapeText(step.shape)),
      step.multiply_adds ? h("span", {}, `${short(step.multiply_adds)} multiply-adds`) : "",
      step.parameters ? h("span", {}, `${short(step.parameters)} parameters`) : "",
      h("i", { "aria-hidden": "true", style: `--share: ${step.multiply_adds / most}` }),
    ),
  );

  function keyed(event, i) {
    const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: tabs.length - 1 }[
      event.key
    ];
    if (to === undefined) return;
    event.preventDefault();
    const tab = Math.min(tabs.length - 1, Math.max(0, to));
    pick(tab);
    tabs[tab].focus();
  }

  function show(chosen) {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.setAttribute("tabindex", i === chosen ? "0" : "-1");
    });
    const { offsetLeft, offsetWidth } = tabs[chosen];
    strip.scrollLeft = offsetLeft - (strip.clientWidth - offsetWidth) / 2; // on a phone it is one row
  }
  const strip = h(
    "div",
    { id: "strip", class: "scroll", role: "tablist", "aria-label": "Layers, from the image to the class" },
    ...tabs,
  );
  return { node: strip, show };
}
