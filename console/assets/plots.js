// Plots over the last 15 minutes. Each column of a plot is read from a second by a function; null leaves a gap.
"use strict";
const Plots = (() => {
  const seconds = 900, fewest = 120;
  const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const clock = (t, more) => new Date(t * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hour12: false, ...more});

  // Durations travel in microseconds.
  const time = us => us == null ? "–" : us < 1000 ? us.toFixed(0) + " µs" : us < 1e6 ? (us / 1000).toPrecision(us < 1e5 ? 2 : 3) + " ms" : (us / 1e6).toPrecision(3) + " s";
  const count = n => n == null ? "–" : n >= 10000 ? (n / 1000).toFixed(1) + "k" : String(Math.round(n * 10) / 10);

  const spread = (of, part) => s => { const d = of(s); return d && d.n ? d[part] : null; };
  const stage = name => spread(s => s.stages[name], "p99");

  const definitions = {
    latency: {nothing: "no checks", log: true, show: time, floor: 10, ceiling: 100000, line: 20000, series: [
      {label: "max", color: "slate", width: 1, dash: [2, 3], value: spread(s => s.checks, "max")},
      {label: "p99", color: "blue", width: 2, value: spread(s => s.checks, "p99")},
      {label: "p90", color: "violet", width: 1.5, dash: [6, 3], value: spread(s => s.checks, "p90")},
      {label: "p50", color: "teal", width: 1.5, value: spread(s => s.checks, "p50")},
    ]},
    stages: {nothing: "no checks", log: true, show: time, floor: 1, ceiling: 100000, series: [
      {label: "cache", color: "blue", width: 1.5, value: stage("cache")},
      {label: "ledger", color: "red", width: 1.5, value: stage("ledger")},
      {label: "decide", color: "teal", width: 1.5, value: stage("decide")},
      {label: "journal", color: "amber", width: 1.5, dash: [2, 2], value: stage("journal")},
      {label: "fence", color: "violet", width: 1.5, dash: [6, 3], value: stage("fence")},
      {label: "wait", color: "slate", width: 1.5, value: stage("wait")},
    ]},
    verdicts: {nothing: "no checks", stack: true, show: count, series: [
      {label: "failed", color: "red", value: s => s.failed || 0},
      {label: "DEFER", color: "amber", value: s => s.verdicts.DEFER || 0},
      {label: "DENY", color: "slate", value: s => s.verdicts.DENY || 0},
      {label: "ALLOW", color: "teal", value: s => s.verdicts.ALLOW || 0},
    ]},
    objections: {nothing: "no objections in these minutes", log: true, show: time, floor: 1000, ceiling: 1e6, line: 60000, series: [
      {label: "slowest", color: "red", points: true, value: spread(s => s.effects, "max")},
      {label: "p50", color: "blue", points: true, value: spread(s => s.effects, "p50")},
    ]},
    node: {nothing: "nothing written yet", log: true, show: time, floor: 100, ceiling: 1e7, series: [
      {label: "lease", color: "teal", width: 1.5, value: s => s.figures.lease_remaining_seconds * 1e6 || null},
      {label: "fsync", color: "amber", width: 1.5, value: spread(s => s.fsyncs, "p99")},
      {label: "lag", color: "blue", width: 1, value: s => s.figures.journal_lag_seconds * 1e6 || null},
    ]},
  };

  // limit is a faint line at a duration that people know.
  const limit = at => ({hooks: {draw: u => {
    const y = u.valToPos(at, "y", true);
    if (!(y > u.bbox.top && y < u.bbox.top + u.bbox.height)) return;
    u.ctx.save();
    u.ctx.strokeStyle = color("quiet");
    u.ctx.setLineDash([6, 6]);
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }}});

  // named writes each line's name at its end, in the order in which the lines end: nobody has to match colours, least of all
  // those who cannot, or who stand far off. A plot without data says so.
  const named = d => ({hooks: {draw: u => {
    const {ctx, bbox} = u, ratio = devicePixelRatio, ends = [];
    ctx.save();
    ctx.font = "600 " + 12 * ratio + "px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    d.series.forEach((s, i) => {
      const data = u.data[i + 1];
      let last = data.length - 1;
      while (last >= 0 && data[last] == null) last--;
      if (last >= 0 && last > data.length - 30 && !s.points && !d.stack) ends.push({label: s.label, color: color(s.color), y: u.valToPos(data[last], "y", true)});
    });
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((e, i) => { if (i) e.y = Math.max(e.y, ends[i - 1].y + 13 * ratio); });
    const over = ends.length ? Math.max(0, ends[ends.length - 1].y - (bbox.top + bbox.height)) : 0;
    for (const e of ends) {
      ctx.fillStyle = e.color;
      ctx.fillText(e.label, bbox.left + bbox.width + 4 * ratio, e.y - over);
    }
    if (u.data.slice(1).every(column => column.every(v => !v))) {
      ctx.fillStyle = color("quiet");
      ctx.textAlign = "center";
      ctx.font = 13 * ratio + "px system-ui, sans-serif";
      ctx.fillText(d.nothing, bbox.left + bbox.width / 2, bbox.top + bbox.height / 2);
    }
    ctx.restore();
  }}});

  const decades = (u, i, min, max) => {
    const all = [];
    for (let at = Math.pow(10, Math.ceil(Math.log10(min) - 1e-9)); at <= max * 1.001; at *= 10) all.push(at);
    return all;
  };

  class Plot {
    constructor(definition, at) { this.definition = definition; this.at = at; this.data = null; this.draw(); }

    draw() {
      if (this.plot) this.plot.destroy();
      const d = this.definition, axis = {stroke: color("quiet"), grid: {stroke: color("grid"), width: 1}, ticks: {show: false}, font: "11px system-ui, sans-serif"};
      const top = d.log ? (u, min, max) => [d.floor, Math.max(d.ceiling, Math.pow(10, Math.ceil(Math.log10(max || 1))))] : (u, min, max) => [0, Math.max(1, max * 1.08)];
      const series = d.series.map(s => ({
        label: s.label, stroke: color(s.color), width: s.points ? 0 : s.width || 1, dash: s.dash, spanGaps: false,
        fill: d.stack ? color(s.color) : undefined,
        points: {show: !!s.points, size: 5, fill: color(s.color), width: 0},
        value: (u, v, i, j) => this.kept && this.kept[j] ? d.show(s.value(this.kept[j])) : "–",
      }));
      const size = this.size();
      this.plot = new uPlot({
        ...size, padding: [8, d.stack || d.series[0].points ? 6 : 62, 0, 0], cursor: {points: {size: 6}, drag: {x: false, y: false}, sync: {key: "belpoort"}},
        legend: {show: true, live: true, markers: {width: 0, fill: (u, i) => i ? color(d.series[i - 1].color) : null}}, plugins: d.line ? [limit(d.line), named(d)] : [named(d)],
        scales: {x: {time: true}, y: {distr: d.log ? 3 : 1, range: top}},
        axes: [{...axis, size: 22, space: 70, values: (u, ts, i, space, step) => ts.map(t => clock(t, step < 60 ? {second: "2-digit"} : {}))},
          {...axis, size: 52, splits: d.log ? decades : undefined, values: (u, vs) => vs.map(v => v == null ? "" : d.show(v))}],
        series: [{label: "", value: (u, t) => t == null ? "" : clock(t, {second: "2-digit"})}, ...series],
      }, this.data || [[], ...d.series.map(() => [])], this.at);
    }

    // set shows seconds that end now: an empty past stands empty.
    set(kept) {
      const d = this.definition, last = kept.length ? kept[kept.length - 1].at : Math.floor(Date.now() / 1000);
      this.kept = kept;
      const columns = d.series.map(s => kept.map(s.value));
      if (d.stack) for (let i = columns.length - 2; i >= 0; i--) columns[i] = columns[i].map((v, j) => v + columns[i + 1][j]);
      this.data = [kept.map(s => s.at), ...columns];
      this.plot.batch(() => {
        this.plot.setData(this.data, false);
        this.plot.setScale("x", {min: Math.min(last - fewest, Math.max(last - seconds, kept.length ? kept[0].at : last)), max: last});
      });
      const now = kept[kept.length - 1];
      this.at.setAttribute("aria-label", d.series.map(s => s.label + " " + (now ? d.show(s.value(now)) : "–")).join(", "));
      if (this.plot.cursor.idx == null) this.plot.setLegend({idx: kept.length - 1});
    }

    // size leaves room for one line of the legend; where that has more, the card grows.
    size() { return {width: this.at.clientWidth, height: parseInt(getComputedStyle(this.at).minHeight) - 24}; }

    resize() { this.plot.setSize(this.size()); }
  }

  const all = {};
  const start = () => {
    for (const card of document.querySelectorAll("[data-plot]")) {
      const at = card.querySelector(".plot");
      at.setAttribute("role", "img");
      all[card.dataset.plot] = new Plot(definitions[card.dataset.plot], at);
    }
    addEventListener("resize", () => Object.values(all).forEach(p => p.resize()));
  };
  const recolor = () => Object.values(all).forEach(p => { p.draw(); if (p.kept) p.set(p.kept); });
  const set = kept => Object.values(all).forEach(p => p.set(kept));
  return {start, set, recolor, clock, time, count, seconds, all};
})();
