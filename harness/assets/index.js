// Filters the list of runs and draws their trends. Needs uPlot; reaches for nothing outside the page.
(() => {
  "use strict";
  const runs = JSON.parse(document.getElementById("runs").textContent).reverse();
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll(".runs tbody tr")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palettes = {
    light: { ink: "#565c63", grid: "#e6e8ea", blue: "#0b5cad", orange: "#c25700" },
    dark: { ink: "#a3abb3", grid: "#2b3136", blue: "#6db3f8", orange: "#f39a4b" },
  };
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
  const number = (value) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 2 }));
  const trends = [
    ["trend-p99", [["accepted", "p99_ok_ms", 1], ["sold out", "p99_sold_out_ms", 1]]],
    ["trend-rate", [["accepted", "accepted_per_s", 1], ["answered", "answered_per_s", 1]]],
    ["trend-recovery", [["slowest recovery", "recovery_ms", 0.001]]],
  ];
  const chosen = () => ({ scenario: form.elements.scenario.value, class: form.elements.class.value });
  // The classes of the data are words of the file format, those of the page are words for people.
  const fits = (run, { scenario, class: outcome }) =>
    (!scenario || run.scenario === scenario) && (!outcome || run.class.replace("_", " ") === outcome);
  let plots = [];
  const draw = () => {
    const palette = dark.matches ? palettes.dark : palettes.light;
    const shown = runs.filter((run) => fits(run, chosen()));
    const when = (place) => (shown[place] ? shown[place].scenario + ", " + shown[place].run_id + ", commit " + shown[place].commit.slice(0, 12) : "");
    // A line between runs of different scenarios would tell of a change that there was not.
    const alike = new Set(shown.map((run) => run.scenario)).size < 2;
    plots.forEach((plot) => plot.destroy());
    plots = trends.map(([id, curves]) => {
      const place = document.getElementById(id);
      const axis = (more) => ({ stroke: palette.ink, font, grid: { stroke: palette.grid, width: 1 }, ticks: { stroke: palette.grid, width: 1 }, ...more });
      const columns = [shown.map((_, at) => at + 1), ...curves.map(([, name, factor]) => shown.map((run) => (run[name] == null ? null : run[name] * factor)))];
      const series = curves.map(([label], at) => ({
        label, stroke: at ? palette.orange : palette.blue, dash: at ? [8, 3] : undefined, width: alike ? 1.5 : 0, spanGaps: true,
        points: { show: true, size: 6 }, value: (_, value) => number(value),
      }));
      return new uPlot({
        width: place.clientWidth, height: 180, cursor: { sync: { key: "runs" }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: [0.5, shown.length + 0.5] }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [axis({ size: 28, splits: () => columns[0].filter((at) => at % Math.ceil(shown.length / 12) === 0), values: (_, ticks) => ticks.map(String) }), axis({ size: 56, values: (_, ticks) => ticks.map(number) })],
        series: [{ label: "run", value: (_, at) => (at == null ? "–" : when(at - 1)) }, ...series],
      }, columns, place);
    });
  };
  const filter = () => {
    const wanted = chosen();
    rows.forEach((row) => (row.hidden = !fits({ scenario: row.dataset.scenario, class: row.dataset.class }, wanted)));
    form.querySelector("output").textContent = rows.filter((row) => !row.hidden).length + " of " + rows.length;
    draw();
  };
  form.hidden = false;
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  dark.addEventListener("change", draw);
  addEventListener("resize", draw);
  filter();
})();
