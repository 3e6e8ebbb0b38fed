// The look-up box: asks with the key that was typed, and keeps the key nowhere but in this tab's form.
"use strict";
(() => {
  const form = document.getElementById("look-form"), into = document.getElementById("look-answer");
  const element = (name, text, className) => {
    const e = document.createElement(name);
    if (text != null) e.textContent = text;
    if (className) e.className = className;
    return e;
  };

  function steps(all) {
    const box = element("div", null, "steps");
    for (const s of all || []) {
      const step = element("span", s.rule, s.passed ? "" : "failed");
      step.title = [s.inputs, s.article, s.source].filter(Boolean).join("\n");
      box.append(step);
    }
    return box;
  }

  function timeline(all) {
    const list = element("ol", null, "timeline");
    for (const event of all || []) {
      const li = element("li", null, event.revokes ? "revokes" : "");
      const time = element("time", new Date(event.at).toLocaleString("sv-SE"));
      li.append(time, event.what);
      list.append(li);
    }
    return list;
  }

  form.onsubmit = async e => {
    e.preventDefault();
    const values = Object.fromEntries(new FormData(form)), key = values.key;
    delete values.key;
    into.replaceChildren(element("p", "looking…", "empty"));
    let answer, ok = false;
    try {
      const response = await fetch("console/look", {
        method: "POST", headers: {"Content-Type": "application/json", Authorization: "Bearer " + key}, body: JSON.stringify(values), cache: "no-store",
      });
      ok = response.ok;
      answer = await response.json();
    } catch (problem) {
      answer = {error: "The service did not answer: " + problem.message};
    }
    if (!ok) {
      into.replaceChildren(element("p", (answer.error || "It did not work.") + (answer.reason ? " (" + answer.reason + ")" : ""), "wrong"));
      return;
    }
    const head = element("div");
    head.append(element("span", answer.verdict + " ", "verdict " + answer.verdict), element("b", answer.headline), " " + answer.sentence + " ", element("code", answer.regime));
    into.replaceChildren(head, steps(answer.steps), timeline(answer.timeline));
  };
})();
