// Draws the plots of a report from the data that the page carries. Needs uPlot; reaches for nothing outside the page.
(() => {
  "use strict";
  let data;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palettes = {
    light: {
      ink: "#565c63", grid: "#e6e8ea", blue: "#0b5cad", sky: "#5b9bd5", orange: "#c25700", grey: "#7b838b", red: "#b3201f", violet: "#7a3fb0",
      phase: ["rgba(90,100,110,.10)", "rgba(11,92,173,.05)"], fault: "rgba(179,32,31,.12)", recovery: "rgba(200,130,0,.13)", heat: "11,92,173",
    },
    dark: {
      ink: "#a3abb3", grid: "#2b3136", blue: "#6db3f8", sky: "#3f78ad", orange: "#f39a4b", grey: "#8d959d", red: "#ff938c", violet: "#c79bf2",
      phase: ["rgba(200,210,220,.09)", "rgba(109,179,248,.06)"], fault: "rgba(255,147,140,.16)", recovery: "rgba(240,184,96,.14)", heat: "109,179,248",
    },
  };
  const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const ms = (_, value) => (value == null ? "–" : number(value, value < 1 ? 3 : value < 10 ? 2 : 1) + " ms");
  const perSecond = (_, value) => (value == null ? "–" : number(value, 0) + "/s");
  const at = (_, value) => (value == null ? "–" : value.toFixed(1) + " s");
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";

  // Phases and faults behind the curves; a name where there is room for it, each fault one line lower.
  const bands = (palette) => ({
    hooks: {
      drawClear: [(plot) => {
        const { ctx, bbox } = plot;
        const ratio = devicePixelRatio || 1;
        ctx.save();
        ctx.beginPath();
        ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
        ctx.clip();
        ctx.font = 11 * ratio + "px system-ui, sans-serif";
        ctx.textBaseline = "top";
        ctx.textAlign = "left";
        data.spans.forEach((span, index) => {
          const from = Math.max(plot.valToPos(span.from, "x", true), bbox.left);
          const to = Math.min(plot.valToPos(span.to, "x", true), bbox.left + bbox.width);
          if (to <= from) return;
          ctx.fillStyle = palette[span.kind] && span.kind !== "phase" ? palette[span.kind] : palette.phase[index % 2];
          ctx.fillRect(from, bbox.top, to - from, bbox.height);
          if (ctx.measureText(span.name).width + 8 * ratio < to - from) {
            ctx.fillStyle = palette.ink;
            ctx.fillText(span.name, from + 4 * ratio, bbox.top + ({ fault: 18, recovery: 32 }[span.kind] || 4) * ratio);
          }
        });
        ctx.restore();
      }],
    },
  });

  const budgetLine = (palette, side) => ({
    hooks: {
      draw: [(plot) => {
        const { ctx, bbox } = plot;
        const ratio = devicePixelRatio || 1;
        const y = plot.valToPos(data.budget_ms, "y", true);
        if (!(y > bbox.top && y < bbox.top + bbox.height)) return;
        const label = "p99 budget " + number(data.budget_ms, 2) + " ms";
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = palette.red;
        ctx.lineWidth = ratio;
        ctx.setLineDash([6 * ratio, 4 * ratio]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        ctx.font = 11 * ratio + "px system-ui, sans-serif";
        ctx.textAlign = side;
        ctx.textBaseline = "bottom";
        ctx.fillText(label, side === "right" ? bbox.left + bbox.width - 4 * ratio : bbox.left + 4 * ratio, y - 2 * ratio);
        ctx.restore();
      }],
    },
  });

  const axis = (palette, more) => ({
    stroke: palette.ink, font, labelFont: font, labelSize: 18, grid: { stroke: palette.grid, width: 1 }, ticks: { stroke: palette.grid, width: 1 }, ...more,
  });
  const timeAxis = (palette) => axis(palette, { label: "seconds from the start of the run", size: 34, values: (_, ticks) => ticks.map((tick) => number(tick, 1)) });
  const valueAxis = (palette, label) => axis(palette, { label, size: 52, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick, 3))) });

  // A logarithmic axis of whole decades around the data, so that a flat curve is not blown up to fill the plot.
  const decades = (_, low, high) => {
    if (low == null || high == null || !(high > 0)) return [0.1, 100];
    const from = Math.floor(Math.log10(Math.max(low, 0.001)));
    const to = Math.ceil(Math.log10(Math.max(high, 0.001)));
    return [10 ** from, 10 ** (to > from ? to : from + 1)];
  };
  const logTicks = (plot, _, low, high) => {
    const whole = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) whole.push(10 ** power);
    const steps = whole.length > 4 ? [1] : [1, 2, 5];
    return whole.flatMap((base) => steps.map((step) => base * step)).filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  };
  const logAxis = (palette) => ({ ...valueAxis(palette, "ms, logarithmic"), splits: logTicks, filter: (_, ticks) => ticks });
  // A logarithm knows no zero.
  const positive = (values) => values.map((value) => (value == null ? null : Math.max(value, 0.001)));
  const line = (label, stroke, value, more) => ({ label, stroke, value, width: 1.5, spanGaps: false, points: { size: 4 }, ...more });
  const cursor = {
    sync: { key: "time", scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 6 },
    // Left to itself, each plot would go back to where its own curves begin.
    bind: { dblclick: () => () => show(...ends) },
  };

  // Every plot over time begins and ends where the run does, so that they can be read one below the other.
  let ends;
  // What is shown of the run; null is all of it.
  let view = null;
  const remember = { hooks: { setScale: [({ scales: { x } }, key) => {
    if (key === "x" && x.min != null) view = x.min <= ends[0] && x.max >= ends[1] ? null : [x.min, x.max];
  }] } };
  const load = () => {
    data = JSON.parse(document.getElementById("charts").textContent);
    const times = [data.at, ...data.readings.flatMap((plot) => plot.series.map((curve) => curve.at))].flatMap((column) => [column[0], column[column.length - 1]]).filter(Number.isFinite);
    const [first, last] = [Math.min(...times), Math.max(...times)];
    ends = last > first ? [first, last] : [first - 0.05, first + 0.05];
  };
  const whole = { time: false, range: (_, low, high) => (high > low ? [low, high] : ends) };

  // Counter-examples at their instant: links, so that mouse and keyboard reach their stories alike. Those of one bucket share a link to the first.
  const flags = () => {
    const links = [];
    return {
      hooks: {
        init: [(plot) => Object.values(Object.groupBy(data.flags, ({ at: when }) => Math.round(when * 10))).forEach((group) => {
          const [{ at: when, what, story }] = group;
          const more = group.length > 1 ? ", and " + (group.length - 1) + " more" : "";
          const link = Object.assign(document.createElement("a"), { className: "flag", href: "#" + story, title: number(when, 3) + " s, " + what + more });
          link.setAttribute("aria-label", "violation at " + link.title);
          plot.over.append(link);
          links.push([when, link]);
        })],
        draw: [(plot) => links.forEach(([when, link]) => {
          const left = plot.valToPos(when, "x");
          link.hidden = !(left >= 0 && left <= plot.over.clientWidth);
          link.style.left = left + "px";
        })],
      },
    };
  };

  const latencyPlot = (palette, size) => ({
    options: {
      ...size, cursor, plugins: [bands(palette), budgetLine(palette, "right"), flags(), remember],
      scales: { x: whole, y: { distr: 3, range: decades } },
      axes: [timeAxis(palette), logAxis(palette)],
      series: [
        { label: "at", value: at },
        line("accepted max", palette.grey, ms, { width: 1, dash: [2, 3] }),
        line("accepted p99", palette.blue, ms, { width: 2 }),
        line("accepted p50", palette.sky, ms),
        line("refused p99", palette.orange, ms, { dash: [8, 3] }),
      ],
    },
    columns: [data.at, ...["ok_max", "ok_p99", "ok_p50", "fail_p99"].map((name) => positive(data.latency[name]))],
  });

  const ratesPlot = (palette, size) => ({
    options: {
      ...size, cursor, plugins: [bands(palette)],
      scales: { x: whole, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [timeAxis(palette), valueAxis(palette, "operations per second")],
      series: [
        { label: "at", value: at },
        line("offered", palette.grey, perSecond, { dash: [2, 3] }),
        line("ok", palette.blue, perSecond),
        line("refused", palette.orange, perSecond, { dash: [8, 3] }),
        line("in doubt", palette.red, perSecond),
        line("shed", palette.violet, perSecond, { dash: [4, 4] }),
        ...(data.rates.closed_loop ? [line("closed loop", palette.sky, perSecond, { dash: [10, 3, 2, 3] })] : []),
      ],
    },
    columns: [data.at, ...["offered", "ok", "fail", "info", "shed", "closed_loop"].flatMap((name) => (data.rates[name] ? [data.rates[name]] : []))],
  });

  const percentileName = (nines) => (nines === 0 ? "0 %" : number(100 * (1 - 10 ** -nines), Math.max(0, Math.round(nines) - 2)) + " %");
  const spectrumPlot = (palette, size) => {
    const strokes = { ok: palette.blue, fail: palette.orange, info: palette.red };
    const names = { ok: "accepted", fail: "refused", info: "in doubt" };
    const words = (name) => name.split(" ");
    return {
      options: {
        ...size, plugins: [budgetLine(palette, "left")], cursor: { drag: { x: true, y: false }, points: { size: 6 } },
        scales: { x: { time: false }, y: { distr: 3, range: decades } },
        axes: [
          axis(palette, {
            label: "share of operations at or below, by nines", size: 34,
            splits: (_, __, low, high) => Array.from({ length: 12 }, (___, nines) => nines).filter((nines) => nines >= low && nines <= high),
            filter: (_, ticks) => ticks, values: (_, ticks) => ticks.map(percentileName),
          }),
          logAxis(palette),
        ],
        series: [
          { label: "percentile", value: (_, nines) => (nines == null ? "–" : number(100 * (1 - 10 ** -nines), Math.ceil(nines)) + " %") },
          ...data.spectra.map(({ name }) => {
            const [fate, time] = words(name);
            const dash = time === "service" ? [3, 3] : undefined;
            return line(names[fate] + ", " + time, strokes[fate] || palette.grey, ms, { spanGaps: true, width: dash ? 1.5 : 2, dash, points: { show: false } });
          }),
        ],
      },
      columns: uPlot.join(data.spectra.map((curve) => [curve.nines, positive(curve.ms)])),
    };
  };

  // Orders by due time and response time; a cell is darker the more it holds, by logarithm, so that one slow order still shows.
  const heatPlot = (palette, size) => {
    const { from, column, rows, cells } = data.heat;
    const most = cells.reduce((largest, cell) => Math.max(largest, cell[2]), 1);
    const last = cells.reduce((largest, cell) => Math.max(largest, cell[0]), 0);
    const totals = new Array(last + 1).fill(0);
    const slowest = new Array(last + 1).fill(null);
    cells.forEach(([at, row, count]) => {
      totals[at] += count;
      slowest[at] = Math.max(slowest[at] ?? 0, rows[row]);
    });
    const paint = (plot) => {
      const { ctx, bbox } = plot;
      const place = (value, scale) => plot.valToPos(value, scale, true);
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      cells.forEach(([at, row, count]) => {
        const [left, right] = [place(from + at * column, "x"), place(from + (at + 1) * column, "x")];
        const [low, high] = [place(rows[row], "y"), place(rows[row + 1] || rows[row] * 1.47, "y")];
        ctx.fillStyle = "rgba(" + palette.heat + "," + (0.18 + (0.82 * Math.log1p(count)) / Math.log1p(most)).toFixed(3) + ")";
        ctx.fillRect(left, high, Math.max(right - left, 1), Math.max(low - high, 1));
      });
      ctx.restore();
    };
    const top = cells.reduce((largest, cell) => Math.max(largest, rows[cell[1]]), rows[0]) * 2;
    const orders = (_, value) => (value == null ? "–" : number(value, 0) + " orders");
    return {
      options: {
        ...size, cursor, plugins: [bands(palette), { hooks: { draw: [paint] } }, budgetLine(palette, "right")],
        scales: { x: whole, y: { distr: 3, range: () => [rows[0], top] }, orders: { range: () => [0, 1] } },
        axes: [timeAxis(palette), logAxis(palette)],
        series: [
          { label: "at", value: at },
          { label: "due in the column", scale: "orders", value: orders, stroke: "transparent", points: { show: false } },
          { label: "slowest, at least", value: ms, stroke: "transparent", points: { show: false } },
        ],
      },
      columns: [totals.map((_, index) => from + (index + 0.5) * column), totals, slowest],
    };
  };

  const readingPlot = (plot) => (palette, size) => {
    const strokes = [palette.blue, palette.orange, palette.violet, palette.red, palette.sky, palette.grey];
    const dashes = [undefined, [8, 3], [2, 3], [4, 4]];
    const value = (_, reading) => (reading == null ? "–" : number(reading, 1) + (plot.unit ? " " + plot.unit : ""));
    const range = (_, low, high) => [Math.min(low ?? 0, 0), (high ?? 0) > 0 ? high * 1.1 : 1];
    return {
      options: {
        ...size, cursor, plugins: [bands(palette)],
        scales: { x: whole, y: { range } },
        axes: [timeAxis(palette), valueAxis(palette, plot.unit || "count")],
        series: [
          { label: "at", value: at },
          ...plot.series.map(({ label }, index) =>
            line(label, strokes[index % strokes.length], value, { spanGaps: true, dash: dashes[Math.floor(index / strokes.length) % dashes.length] })),
        ],
      },
      columns: uPlot.join(plot.series.map((curve) => [curve.at, curve.value])),
    };
  };

  const places = () => {
    const fixed = [["#plot-latency", latencyPlot, 320], ["#plot-rates", ratesPlot, 280], ["#plot-heat", heatPlot, 300], ["#plot-spectrum", spectrumPlot, 320]];
    const readings = data.readings.map((plot) => ['[data-reading="' + CSS.escape(plot.id) + '"]', readingPlot(plot), 200]);
    return [...fixed.filter(([selector]) => selector !== "#plot-heat" || data.heat.cells.length), ...readings];
  };

  let plots = [];
  const overTime = () => plots.filter((plot) => plot.cursor.sync.key === "time");
  const show = (from, to) => {
    const [min, max] = [Math.max(from, ends[0]), Math.min(to, ends[1])];
    if (max > min) overTime().forEach((plot) => plot.setScale("x", { min, max }));
  };
  // The values at a place of the data, on this plot and with it on all over time.
  const read = (plot, index) => {
    const at = Math.max(0, Math.min(index, plot.data[0].length - 1));
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: plot.over.clientHeight / 2 }, true, true);
  };
  const keys = (plot) => (event) => {
    const here = plot.cursor.idx ?? 0;
    const [from, to] = [plot.scales.x.min, plot.scales.x.max];
    const middle = plot.data[0][here] ?? (from + to) / 2;
    const zoomed = (factor) => show(middle - (middle - from) * factor, middle + (to - middle) * factor);
    const act = {
      ArrowLeft: () => read(plot, here - (event.shiftKey ? 10 : 1)),
      ArrowRight: () => read(plot, here + (event.shiftKey ? 10 : 1)),
      Home: () => read(plot, 0),
      End: () => read(plot, plot.data[0].length - 1),
      "+": () => zoomed(0.5), "=": () => zoomed(0.5), "-": () => zoomed(2), Escape: () => show(...ends),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || !overTime().includes(plot)) return;
    event.preventDefault();
    act();
  };

  const draw = (palette, width) => {
    const shown = view;
    plots.forEach((plot) => plot.destroy());
    plots = places().flatMap(([selector, make, height]) => {
      const place = document.querySelector(selector);
      if (!place) return [];
      const { options, columns } = make(palette, { width: width || place.clientWidth, height });
      const plot = new uPlot(options, columns, place);
      // Without a value: a handler that returns false would take every other key, Tab among them, from the links inside.
      place.onkeydown = (event) => {
        if (event.target === place) keys(plot)(event);
      };
      return [plot];
    });
    show(...(shown ?? ends));
  };
  const redraw = () => draw(dark.matches ? palettes.dark : palettes.light);
  const start = () => {
    load();
    redraw();
    document.querySelectorAll(".scripted").forEach((note) => (note.hidden = false));
  };
  // A link to a story opens it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!(target instanceof HTMLDetailsElement)) return;
    target.open = true;
    target.scrollIntoView();
  };
  start();
  open();
  addEventListener("hashchange", open);
  // The page of a running sale has new data.
  document.addEventListener("holdfast:data", start);
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => draw(palettes.light, 680));
  addEventListener("afterprint", redraw);
  addEventListener("resize", () => plots.forEach((plot) => plot.setSize({ width: plot.root.parentNode.clientWidth, height: plot.height })));
})();
