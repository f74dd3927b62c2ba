// Draws two runs over each other. Needs uPlot; reaches for nothing outside the page.
(() => {
  "use strict";
  const runs = JSON.parse(document.getElementById("runs").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palettes = {
    light: { ink: "#565c63", grid: "#e6e8ea", blue: "#0b5cad", orange: "#c25700" },
    dark: { ink: "#a3abb3", grid: "#2b3136", blue: "#6db3f8", orange: "#f39a4b" },
  };
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
  const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const ms = (_, value) => (value == null ? "–" : number(value, value < 10 ? 2 : 1) + " ms");
  const perSecond = (_, value) => (value == null ? "–" : number(value, 0) + "/s");
  const share = (nines) => number(100 * (1 - 10 ** -nines), Math.ceil(nines)) + " %";
  // A logarithm knows no zero.
  const positive = (values) => values.map((value) => (value == null ? null : Math.max(value, 0.001)));
  const decades = (_, low, high) => (high > 0 ? [10 ** Math.floor(Math.log10(Math.max(low, 0.001))), 10 ** Math.ceil(Math.log10(high * 1.001))] : [0.1, 100]);

  // Each curve: label, which of the two runs, its place on the x axis, its values.
  const plots = (palette) => {
    const axis = (more) => ({ stroke: palette.ink, font, labelFont: font, labelSize: 18, grid: { stroke: palette.grid, width: 1 }, ticks: { stroke: palette.grid, width: 1 }, ...more });
    const seconds = { label: "seconds from the first arrival", size: 34 };
    const nines = {
      label: "share of operations at or below, by nines", size: 34, filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(share),
      splits: (_, __, low, high) => Array.from({ length: 12 }, (___, nine) => nine).filter((nine) => nine >= low && nine <= high),
    };
    const both = (curves) => runs.flatMap((run, which) => curves.map(([name, color, x, values]) => ({ label: run.letter + ", " + name, stroke: palette[color], which, x: x(run), values: values(run) })));
    const spectrum = (name) => [(run) => run.spectra[name]?.nines ?? [], (run) => positive(run.spectra[name]?.ms ?? [])];
    const logarithmic = { distr: 3, range: decades };
    const linear = { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] };
    return [
      ["compare-spectrum", axis(nines), "ms, logarithmic", logarithmic, ms, both([["accepted", "blue", ...spectrum("ok response")], ["refused", "orange", ...spectrum("fail response")]])],
      ["compare-rates", axis(seconds), "operations per second", linear, perSecond, both([["answered", "orange", (run) => run.at, (run) => run.answered], ["ok", "blue", (run) => run.at, (run) => run.ok]])],
      ["compare-latency", axis(seconds), "ms, logarithmic", logarithmic, ms, both([["p99 accepted", "blue", (run) => run.at, (run) => positive(run.p99)]])],
    ].map(([id, x, label, y, value, curves]) => {
      const place = document.getElementById(id);
      const options = {
        width: place.clientWidth, height: 300, cursor: { drag: { x: true, y: false }, points: { size: 6 } },
        scales: { x: { time: false }, y },
        axes: [x, axis({ label, size: 56, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick, 3))) })],
        series: [
          { label: id === "compare-spectrum" ? "percentile" : "at", value: (_, at) => (at == null ? "–" : id === "compare-spectrum" ? share(at) : at.toFixed(1) + " s") },
          ...curves.map(({ label, stroke, which }) => ({ label, stroke, value, width: 1.5, dash: which ? [6, 3] : undefined, spanGaps: id === "compare-spectrum", points: { show: false } })),
        ],
      };
      const plot = new uPlot(options, uPlot.join(curves.map(({ x, values }) => [x, values])), place);
      place.onkeydown = (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const at = Math.max(0, Math.min((plot.cursor.idx ?? 0) + step * (event.shiftKey ? 10 : 1), plot.data[0].length - 1));
        plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: plot.over.clientHeight / 2 });
      };
      return plot;
    });
  };
  let drawn = [];
  const draw = (palette) => {
    drawn.forEach((plot) => plot.destroy());
    drawn = plots(palette);
  };
  const redraw = () => draw(dark.matches ? palettes.dark : palettes.light);
  redraw();
  document.querySelectorAll(".scripted").forEach((note) => (note.hidden = false));
  dark.addEventListener("change", redraw);
  addEventListener("resize", () => drawn.forEach((plot) => plot.setSize({ width: plot.root.parentNode.clientWidth, height: plot.height })));
  addEventListener("beforeprint", () => draw(palettes.light));
  addEventListener("afterprint", redraw);
})();
