// Draws the interactive figures when they come into view, and hides what is unticked.
"use strict";
const trajlabDraw = (() => {
  const views = new WeakMap();
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const hidden = (section) =>
    [...section.querySelectorAll(".series input:not(:checked)")].map((box) => box.value);
  const draw = async (chart) => {
    const spec = JSON.parse(chart.querySelector("script").textContent);
    const { view } = await vegaEmbed(chart.querySelector(".drawing"), spec, options);
    views.set(chart, view);
    await view.signal("hidden", hidden(chart.closest("section"))).runAsync();
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      seen.unobserve(entry.target);
      draw(entry.target).catch((error) => {
        entry.target.querySelector(".drawing").textContent = `Not drawn: ${error.message}`;
      });
    }
  }, { rootMargin: "600px" });
  document.addEventListener("change", (event) => {
    const series = event.target.closest(".series");
    if (!series) return;
    const section = series.closest("section");
    for (const chart of section.querySelectorAll(".chart"))
      views.get(chart)?.signal("hidden", hidden(section)).runAsync();
  });
  return (root) => {
    for (const figure of root.querySelectorAll("figure.live")) figure.classList.add("on");
    for (const chart of root.querySelectorAll(".chart")) seen.observe(chart);
  };
})();
trajlabDraw(document);
