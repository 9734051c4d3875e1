"use strict";

// Finding one's way in a page: contents that follow, search, a way back, keys, speaker mode.

// Opens whatever an element is folded in.
const unfold = (element) => {
  for (let at = element.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
};

(() => {
  const get = (id) => document.getElementById(id);
  const nav = document.querySelector("nav");
  const stages = [...document.querySelectorAll("main .stage")];
  const parts = [...document.querySelectorAll("main > details:not(.notes)")];
  const shownText = (element) => element.innerText.replace(/\s+/g, " ").trim();

  // ---- where one is

  let now = null;

  function setNow(stage) {
    if (!stage || stage === now) return;
    for (const old of document.querySelectorAll(".now")) {
      old.classList.remove("now");
      old.removeAttribute("aria-current");
    }
    now = stage;
    const part = stage.closest("main > details");
    for (const element of [stage, part]) element?.classList.add("now");
    for (const id of [part?.id, stage.id]) {
      for (const link of nav.querySelectorAll(`a[href="#${id}"]`)) {
        link.classList.add("now");
        link.setAttribute("aria-current", "location");
      }
    }
    nav.querySelector(`.drawn[data-of="${part?.id}"]`)?.classList.add("now");
    tellWhere();
    bringIntoView(nav.querySelector(".drawn.now a.now") || nav.querySelector("li > a.now"));
  }

  // The headings that one is under, in the languages that are shown.
  function tellWhere() {
    const heads = [now?.closest("main > details"), now].map((element) => element?.querySelector("h2, h3"));
    get("where").textContent = [...new Set(heads)].filter(Boolean).map(shownText).join(" › ");
  }

  // Within the contents alone: the page itself does not move.
  function bringIntoView(link) {
    if (!link) return;
    const frame = get("map");
    const [own, outer] = [link.getBoundingClientRect(), frame.getBoundingClientRect()];
    if (own.height && (own.top < outer.top || own.bottom > outer.bottom)) {
      frame.scrollTop += own.top - outer.top - outer.height / 3;
    }
  }

  // The stage that is being read: the one that was gone to, while it is in view; else the first.
  function look() {
    if (speaking()) return;
    const top = innerWidth < 1024 ? nav.getBoundingClientRect().bottom : 0;
    const seen = (element) => {
      const { bottom, height } = element.getBoundingClientRect();
      return height > 0 && bottom > top + 40;
    };
    if (now && seen(now) && now.getBoundingClientRect().top < innerHeight * 0.6) return;
    const part = parts.find(seen);
    const inside = stages.filter((stage) => !part || stage === part || part.contains(stage));
    setNow(inside.find(seen) || inside[0]);
  }

  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      look();
    });
  }, { passive: true });

  function goTo(stage) {
    if (!stage) return;
    unfold(stage);
    if (speaking() || stage.matches(".differing")) stage.open = true;
    setNow(stage);
    if (speaking()) fit();
    else stage.scrollIntoView({ block: "start" });
    stage.querySelector("summary, h3")?.focus({ preventScroll: true });
  }

  const step = (by) => goTo(stages[Math.min(Math.max(stages.indexOf(now) + by, 0), stages.length - 1)]);

  // ---- a way back: how many links were followed is kept with the browser's history

  let depth = history.state?.depth || 0;
  const keepDepth = () => {
    history.replaceState({ depth }, "");
    get("back").disabled = depth === 0;
  };
  const back = () => depth && history.back();
  keepDepth();
  get("back").addEventListener("click", back);
  addEventListener("hashchange", () => {
    depth = history.state?.depth ?? depth + 1;
    keepDepth();
    arrive();
  });

  function arrive() {
    const id = location.hash.slice(1).replace(/^grad\//, "").replace(/\[[\d,\s]*\]$/, "");
    const target = get(id);
    if (!target) return;
    unfold(target);
    if (location.hash !== `#${id}`) target.scrollIntoView({ block: "start" }); // of a cell its stage
    setNow(target.closest(".stage") || target.querySelector(".stage"));
    if (speaking()) fit();
  }

  // ---- search

  const search = get("search");
  const results = get("results");
  const MOST = 40;
  let index = null;

  // What can be found: [its link, what is searched, the name that is shown, what it is].
  function searched() {
    const found = [];
    for (const element of [...parts, ...stages]) {
      const head = element.querySelector("h2, h3");
      if (!head) continue;
      const about = head.closest("summary") || head;
      found.push([element.id, `${element.id} ${about.textContent}`.toLowerCase(), element.id, about]);
    }
    for (const [side, rows] of Object.entries(window.numtx?.data.tokens || {})) {
      const name = get(`${side}.tokens`) ? `${side}.tokens` : side;
      if (!get(name)) continue;
      rows.forEach((row, b) => row.forEach((token, t) => {
        const address = `${name}[${b},${t}]`;
        found.push([address, token.toLowerCase(), address, token]);
      }));
    }
    return found;
  }

  function hit([target, , name, about]) {
    const link = Object.assign(document.createElement("a"), { href: `#${target}` });
    const title = document.createElement("span");
    title.textContent = typeof about === "string" ? about : shownText(about).slice(0, 90);
    const code = Object.assign(document.createElement("code"), { textContent: name.replace(/^from-/, "") });
    link.append(title, " ", code);
    const line = document.createElement("li");
    line.append(link);
    return line;
  }

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    results.hidden = !words.length;
    if (!words.length) return;
    index = index || searched();
    const whole = words.join(" ");
    const far = ([, text]) => (text === whole ? 0 : text.startsWith(whole) ? 1 : 2);
    const hits = index
      .filter(([, text]) => words.every((word) => text.includes(word)))
      .sort((x, y) => far(x) - far(y));
    get("found").replaceChildren(...hits.slice(0, MOST).map(hit));
    get("count").textContent = hits.length > MOST ? `${MOST} / ${hits.length}` : String(hits.length);
  }

  function endSearch() {
    search.value = "";
    results.hidden = true;
  }

  search.addEventListener("input", find);
  results.addEventListener("click", (event) => event.target.closest("a") && endSearch());

  // Arrow keys from the field into what was found, and back.
  function inSearch(event) {
    const links = [...results.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Enter" && at < 0) links[0]?.click();
    else if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (links[at - 1] || search).focus();
    else if (event.key === "Escape") {
      endSearch();
      now?.querySelector("summary, h3")?.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  }

  // ---- speaker mode: one stage a screen, as large as it fits

  const slide = get("slide");
  const speaking = () => document.body.classList.contains("speaker");

  function fit() {
    const room = [innerWidth - 48, innerHeight - now.getBoundingClientRect().top - slide.offsetHeight - 16];
    now.style.zoom = 1;
    const ratio = Math.min(room[0] / now.scrollWidth, room[1] / now.offsetHeight, 2.5);
    now.style.zoom = Math.max(1, ratio);
    get("number").textContent = `${stages.indexOf(now) + 1} / ${stages.length}`;
    scrollTo(0, 0);
  }

  function speak(on) {
    document.body.classList.toggle("speaker", on);
    slide.hidden = !on;
    for (const stage of stages) stage.style.zoom = "";
    if (on) window.numtx?.release();
    goTo(now || stages[0]);
  }

  get("speak").addEventListener("click", () => speak(true));
  get("leave").addEventListener("click", () => speak(false));
  get("previous").addEventListener("click", () => step(-1));
  get("next").addEventListener("click", () => step(1));
  addEventListener("resize", () => (speaking() ? fit() : look()));

  // ---- keys

  function escape() {
    if (window.numtx?.release()) now?.querySelector("summary, h3")?.focus({ preventScroll: true });
    else if (speaking()) speak(false);
  }

  const keys = {
    "/": () => search.focus(),
    j: () => step(1),
    k: () => step(-1),
    b: back,
    e: () => get("set")?.focus(),
    d: () => goTo(stages.find((stage, i) => i > stages.indexOf(now) && stage.matches(".differing"))),
    s: () => speak(!speaking()),
    "?": () => {
      get("keys").open = !get("keys").open;
      get("keys").querySelector("summary").focus();
    },
    Escape: escape,
  };
  const turns = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };

  // What a key does, which says whether it is free: not in a field, nor in a table.
  function actionOf(event) {
    const { target, key } = event;
    if (key in keys) return keys[key];
    if (target.closest(".grid, input")) return null;
    if (speaking() && key in turns) return () => step(turns[key]);
    if (!target.matches(".stage > summary")) return null;
    return { ArrowDown: () => step(1), ArrowUp: () => step(-1) }[key];
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest?.("#search, #results")) return inSearch(event);
    if (event.target.matches?.("input:not([type=radio]):not([type=checkbox])") && event.key !== "Escape") return;
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    action();
  });

  // ---- folding

  const fold = (to) => () => {
    for (const details of document.querySelectorAll("main details")) details.open = to;
  };
  get("open-all").addEventListener("click", fold(true));
  get("close-all").addEventListener("click", fold(false));
  addEventListener("beforeprint", fold(true));
  document.addEventListener("focusin", (event) => setNow(event.target.closest?.("main .stage")));

  document.querySelector(".controls").addEventListener("change", tellWhere);
  document.body.classList.add("alive");
  if (innerWidth < 1024) for (const details of nav.querySelectorAll("details")) details.open = false;
  look();
  arrive();
})();
