// Draws the interactive figures when they come into view, and hides what is unticked.
"use strict";
const trajlabDraw = (() => {
  const views = new WeakMap();
  const written = (value) => {  // three significant digits, as in the tables; a name is text
    if (typeof value !== "number") return String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;");
    const size = Math.abs(value);
    if ((Number.isInteger(value) || size >= 1000) && size < 1e9) return value.toFixed(0);
    const short = Number(value.toPrecision(3));
    return size < 1e-4 || size >= 1e9 ? short.toExponential() : String(short);
  };
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true, sanitize: written },
  };
  const hidden = (section) =>
    [...section.querySelectorAll(".series input:not(:checked)")].map((box) => box.value);
  const draw = async (chart) => {
    const spec = JSON.parse(chart.querySelector("script").textContent);
    const { view } = await vegaEmbed(chart.querySelector(".drawing"), spec, options);
    views.set(chart, view);
    await view.signal("hidden", hidden(chart.closest("section"))).runAsync();
  };
  const say = (chart, error) => {
    const figure = chart.closest("figure");
    const said = document.createElement("p");
    said.className = "note";
    said.textContent = `The interactive figure could not be drawn: ${error.message}`;
    if (!figure.querySelector(".static")) chart.querySelector(".drawing").replaceChildren(said);
    else if (figure.classList.contains("on")) {  // the static one takes its place, once
      figure.classList.remove("on");
      figure.prepend(said);
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      seen.unobserve(entry.target);
      draw(entry.target).catch((error) => say(entry.target, error));
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
