// The page: takes a second from the server every second, and shows the last 15 minutes.
"use strict";
(() => {
  const $ = id => document.getElementById(id);
  const element = (name, text, className) => {
    const e = document.createElement(name);
    if (text != null) e.textContent = text;
    if (className) e.className = className;
    return e;
  };
  const words = {ok: "serving", degraded: "serving, degraded", down: "not ready"};
  let kept = [];

  const themes = ["", "light", "dark"];
  const useTheme = theme => {
    if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
    $("theme").textContent = theme || "system";
  };
  $("theme").onclick = () => {
    const now = document.documentElement.dataset.theme || "";
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    localStorage.setItem("theme", next);
    useTheme(next);
    Plots.recolor();
  };
  useTheme(localStorage.getItem("theme") || "");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Plots.recolor());

  const big = (id, text) => {
    const [value, unit] = text.split(" ");
    $(id).replaceChildren(value, unit ? element("small", " " + unit) : "");
  };
  const sum = counts => Object.values(counts).reduce((a, b) => a + b, 0);

  function tiles() {
    const now = kept[kept.length - 1], decided = sum(now.verdicts);
    big("t-p50", now.checks.n ? Plots.time(now.checks.p50) : "–");
    big("t-p99", now.checks.n ? Plots.time(now.checks.p99) : "–");
    big("t-rate", Plots.count(decided) + " /s");
    big("t-allow", decided ? Math.round(100 * (now.verdicts.ALLOW || 0) / decided) + " %" : "–");
    const failed = kept.slice(-60).reduce((n, s) => n + s.failed, 0);
    big("t-failed", failed + " /min");
    $("tile-failed").classList.toggle("bad", failed > 0);
    const pending = now.figures.pending_objections || 0;
    big("t-pending", String(pending));
    $("tile-pending").classList.toggle("bad", pending > 0);
    $("clock").textContent = Plots.clock(now.at, {second: "2-digit"});
  }

  function bars(into, rows, nothing) {
    const most = Math.max(1, ...rows.map(r => r.total));
    into.replaceChildren(...rows.map(r => {
      const row = element("div", null, "bar"), track = element("div", null, "track"), name = element("span", r.name);
      name.title = r.title || r.name;
      if (r.flag) name.append(" ", element("em", r.flag));
      if (r.more) name.append(element("small", r.more));
      for (const part of r.parts) {
        const i = element("i");
        i.style.width = 100 * part.n / most + "%";
        i.style.background = "var(--" + part.color + ")";
        track.append(i);
      }
      row.append(name, track, element("span", Plots.count(r.total)));
      return row;
    }));
    if (!rows.length) into.replaceChildren(element("p", nothing, "empty"));
  }

  function reasons() {
    const totals = {};
    for (const s of kept.slice(-300)) for (const [name, n] of Object.entries(s.reasons)) if (!name.startsWith("OK")) totals[name] = (totals[name] || 0) + n;
    const rows = Object.entries(totals).sort((a, b) => b[1] - a[1]).map(([name, n]) => ({name, total: n, parts: [{n, color: "slate"}]}));
    bars($("reasons"), rows, "Every call was allowed, or none was asked about.");
  }

  function campaigns(all) {
    const rows = all.map(c => ({
      name: c.name, total: c.allowed + c.refused, flag: c.state, more: c.debts, title: [c.name, c.debts].filter(Boolean).join(": "),
      parts: [{n: c.allowed, color: "teal"}, {n: c.refused, color: "slate"}],
    })).sort((a, b) => (b.flag ? 1 : 0) - (a.flag ? 1 : 0) || b.total - a.total);
    bars($("campaigns"), rows, "No calls yet.");
    const names = $("campaign-names");
    if (names.children.length !== all.length) names.replaceChildren(...all.map(c => { const o = element("option"); o.value = c.name; return o; }));
  }

  function refusals(all) {
    $("refusals").replaceChildren(...all.map(r => {
      const li = element("li");
      li.append(element("span", Plots.clock(new Date(r.at) / 1000, {second: "2-digit"}), "quiet"), element("b", r.reason), element("code", r.decision_id));
      li.title = r.verdict + " " + r.reason + ", " + r.campaign + ", through " + r.door;
      li.children[1].append(" ", element("small", r.campaign));
      return li;
    }));
    if (!all.length) $("refusals").replaceChildren(element("li", "None yet.", "empty"));
  }

  function parts(all, ready) {
    const worst = {down: 0, degraded: 1, ok: 2}, sorted = [...all].sort((a, b) => worst[a.level] - worst[b.level]);
    $("parts").replaceChildren(...sorted.map(p => {
      const li = element("li", p.name, p.level);
      li.title = p.level + " since " + new Date(p.since).toLocaleString("sv-SE");
      li.append(element("span", " " + p.level, "heard"));
      return li;
    }));
    const level = !ready ? "down" : all.some(p => p.level !== "ok") ? "degraded" : "ok";
    $("state").className = "pill " + level;
    $("state").textContent = words[level];
    const now = kept.length ? kept[kept.length - 1].at : 0;
    alarm(level, sorted.filter(p => p.level !== "ok").map(p => {
      const seconds = Math.max(0, Math.round(now - new Date(p.since) / 1000));
      return [p.name + ": " + (p.says || p.level), " for " + (seconds < 120 ? seconds + " s" : Math.round(seconds / 60) + " min")];
    }));
  }

  // alarm says what is wrong in letters that can be read from afar. Only a sentence that is new is heard by those who listen.
  function alarm(level, sentences) {
    const box = $("alarm");
    box.className = level;
    box.hidden = sentences.length === 0;
    sentences.forEach(([says, since], i) => {
      const line = box.children[i] || box.appendChild(element("span"));
      if (line.dataset.says !== says) { line.dataset.says = says; line.replaceChildren(element("b", says), element("small")); }
      line.lastChild.textContent = since;
    });
    while (box.children.length > sentences.length) box.lastChild.remove();
  }

  function figures() {
    const f = kept[kept.length - 1].figures, said = [];
    if (f.nodes != null) said.push(f.nodes + (f.nodes === 1 ? " node" : " nodes"));
    if (f.floors != null) said.push(Plots.count(f.floors) + " floors");
    if (f.fence_behind != null) said.push(f.fence_behind + " behind");
    if (said.length) $("figures").textContent = said.join(" · ");
    $("t-rate").parentElement.title = f.checks_in_flight + " checks under way";
  }

  function show(message) {
    kept = kept.concat(message.seconds || []).slice(-Plots.seconds);
    if (kept.length) { tiles(); figures(); reasons(); Plots.set(kept); }
    $("law").textContent = message.law;
    parts(message.parts || [], message.ready);
    campaigns(message.campaigns || []);
    refusals(message.refusals || []);
    document.body.dataset.seconds = kept.length;
  }

  Plots.start();
  const events = new EventSource("console/events");
  events.addEventListener("begin", e => { kept = []; show(JSON.parse(e.data)); });
  events.addEventListener("second", e => show(JSON.parse(e.data)));
  events.onopen = () => document.body.classList.remove("stale");
  events.onerror = () => {
    $("state").className = "pill down";
    $("state").textContent = "no connection";
    document.body.classList.add("stale");
    alarm("down", [["This node does not answer. What stands here is old.", kept.length ? " since " + Plots.clock(kept[kept.length - 1].at, {second: "2-digit"}) : ""]]);
  };
})();
