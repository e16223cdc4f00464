// Pages work without this script. It updates parts of them in place, and draws figures.

// 1. Parts that are replaced. A region has an id; a page's HTML is requested anew, and the regions that changed are
//    exchanged. Figures are updated rather than drawn anew; what is open stays open, and the focus stays. An answer is
//    dropped if a field changed since the request: it would undo the change, and the field's own request follows.
let changes = 0;
const replace = async (address, regions) => {
  const before = changes;
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (changes !== before) return false;
  for (const region of regions) {
    const next = page.getElementById(region.id);
    if (!next) { location.reload(); return false; }
    const source = next.outerHTML;
    if (source === region.source) continue;
    next.source = source;
    const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
    for (const details of region.querySelectorAll("details[id]")) {
      const same = next.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    for (const drawn of region.querySelectorAll(".figure[data-drawn]")) {
      const same = next.querySelector(`#${CSS.escape(drawn.id)}`);
      if (!same) continue;
      drawn.querySelector("script").textContent = same.querySelector("script").textContent;
      same.replaceWith(drawn);
      draw(drawn);
    }
    const log = region.querySelector(".log");
    const follows = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    region.replaceWith(next);
    // A region with data-for has the problem of a field.
    if (next.dataset.for) document.getElementById(next.dataset.for).setAttribute("aria-invalid", next.textContent.trim() !== "");
    prepare(next);
    if (follows) next.querySelector(".log")?.scrollTo(0, 1e9);
    if (focused) document.getElementById(focused)?.focus();
  }
  return true;
};

// 2. Live regions: data-live is the number of seconds between two updates. Hidden windows do not ask.
let waiting;
const regions = () => [...document.querySelectorAll("[data-live]")];
const live = () => {  // also called for a new page: the one before may have waited for longer
  const seconds = regions().map((region) => Number(region.dataset.live));
  clearTimeout(waiting);
  waiting = setTimeout(update, 1000 * (seconds.length ? Math.min(...seconds) : 1));
};
const update = async () => {
  if (!document.hidden && regions().length) {  // a form may have added one in between
    try {
      await replace(location.href, regions());
      document.documentElement.classList.remove("disconnected");
    } catch { document.documentElement.classList.add("disconnected"); }  // the server is restarting
  }
  live();
};

// 3. Forms that need no button: data-auto names the ids of the regions that depend on their fields, and a field can
//    name its own.
const TYPING_MILLISECONDS = 300;
let typing;
const outdated = new Set();  // ids of regions: those of a dropped answer are asked for again with the next ones
const send = async (form) => {
  // A field with data-base is left out of the address if it has that value; others are if they are empty.
  const base = (name) => form.elements[name]?.dataset?.base ?? form.dataset.omit ?? "";
  const fields = [...new FormData(form)].filter(([name, value]) => value !== base(name) && !(value instanceof File));
  const address = `${form.getAttribute("action") || location.pathname}?${new URLSearchParams(fields)}`;
  history.replaceState(null, "", address);
  shown = here();
  if (await replace(address, [...outdated].map((id) => document.getElementById(id)).filter(Boolean))) outdated.clear();
};
const mark = (regions) => regions.split(" ").forEach((id) => outdated.add(id));
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.auto) return;
  for (const shown of document.querySelectorAll(`output[for="${event.target.id}"]`)) shown.value = event.target.value;
  changes += 1;
  mark(event.target.dataset.auto ?? form.dataset.auto);
  clearTimeout(typing);
  typing = setTimeout(() => send(form), event.target.matches("select, [type=checkbox], [type=radio]") ? 0 : TYPING_MILLISECONDS);
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.auto && event.submitter?.formMethod !== "post") { event.preventDefault(); mark(form.dataset.auto); send(form); }
  else for (const button of form.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
});

// 4. Figures. Plotly (4 MB) is loaded with the first one that scrolls into view.
let plotly;
const loadPlotly = () => (plotly ??= new Promise((loaded, failed) => {
  const script = document.createElement("script");
  Object.assign(script, { src: "/static/plotly.min.js", onload: () => loaded(window.Plotly), onerror: failed });
  document.head.append(script);
}));
const BRIGHTER = { "#0072B2": "#4FA8E8", "#009E73": "#2CC79A", "#D55E00": "#FF8A4C" };  // on dark pages
const specification = (figure) => {
  const style = getComputedStyle(document.body);
  const dark = getComputedStyle(document.querySelector("header")).backgroundColor !== "rgb(255, 255, 255)";
  const text = figure.querySelector("script").textContent;
  const { data, layout } = JSON.parse(dark ? text.replace(/#0072B2|#009E73|#D55E00/g, (colour) => BRIGHTER[colour]) : text);
  for (const trace of data) if (trace.type === "heatmap") trace.textfont = { color: style.color };
  const grid = getComputedStyle(document.querySelector("header")).borderBottomColor;  // Plotly knows no light-dark()
  for (const [name, axis] of Object.entries(layout))
    if (/^[xy]axis/.test(name)) Object.assign(axis, { gridcolor: grid, zerolinecolor: grid, linecolor: grid });
  return [data, { ...layout, margin: { ...layout.margin, t: 12 }, font: { color: style.color, family: style.fontFamily } }];
};
const OPTIONS = { responsive: true, displayModeBar: false };
const draw = async (figure) => {
  const Plotly = await loadPlotly();
  await Plotly.react(figure.querySelector(".plot"), ...specification(figure), OPTIONS);
  if (!figure.dataset.drawn) figure.append(tools(figure));
  figure.dataset.drawn = "yes";
};
const button = (text, press) => Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: text, onclick: press });
const tools = (figure) => {
  const bar = Object.assign(document.createElement("div"), { className: "tools" });
  const name = figure.getAttribute("aria-label");
  bar.append(
    button("Enlarge", () => enlarge(figure)),
    button("PNG", async () => (await loadPlotly()).downloadImage(figure.querySelector(".plot"), { format: "png", width: 1400, height: 800, filename: name })),
    button("CSV", () => save(`${name}.csv`, table(figure))),
  );
  for (const tool of bar.children) tool.setAttribute("aria-label", `${tool.textContent}: ${name}`);
  return bar;
};
const enlarge = async (figure) => {
  const dialog = document.createElement("dialog");
  const plot = document.createElement("div");
  const close = button("Close", () => dialog.close());
  dialog.setAttribute("aria-label", figure.getAttribute("aria-label"));
  dialog.append(close, Object.assign(document.createElement("h2"), { textContent: figure.getAttribute("aria-label") }), plot);
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
  const [data, layout] = specification(figure);
  await (await loadPlotly()).newPlot(plot, data, { ...layout, height: innerHeight * 0.75 }, OPTIONS);
};
const quoted = (value) => /[",\n]/.test(`${value}`) ? `"${`${value}`.replaceAll('"', '""')}"` : `${value ?? ""}`;
const table = (figure) => {
  const lines = [["series", "x", "y", "z"]];
  for (const { name, x, y, z } of specification(figure)[0])
    if (z) z.forEach((row, r) => row.forEach((value, c) => lines.push([name, x?.[c] ?? c, y?.[r] ?? r, value])));
    else (y ?? []).forEach((value, i) => lines.push([name, x?.[i] ?? i, value, ""]));
  return lines.map((line) => line.map(quoted).join(",")).join("\n");
};
const save = (name, text) => {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
};
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries)
    if (isIntersecting) { seen.unobserve(target); draw(target); }
}, { rootMargin: "200px" });

// 5. The theme, for every figure on the page too.
const system = matchMedia("(prefers-color-scheme: dark)");
const redraw = () => document.querySelectorAll("[data-drawn]").forEach(draw);
system.onchange = redraw;
document.getElementById("theme").onclick = () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  redraw();
};

const prepare = (part) => {
  for (const figure of part.querySelectorAll(".figure:not([data-drawn])")) seen.observe(figure);
  for (const field of part.querySelectorAll("form[data-auto] .only-without-script")) field.remove();
};
const begin = () => {
  for (const region of document.querySelectorAll("[data-live]")) region.source = region.outerHTML;
  for (const log of document.querySelectorAll(".log")) log.scrollTo(0, 1e9);
  prepare(document);
  live();
};

// 6. Links between pages. The new page is put into this document: a new document takes Chromium longer than the server
//    takes to make a page, and much longer while a run trains. What is not a page of ours is opened as usual.
const here = () => location.pathname + location.search;
let shown = here();
let visit = new AbortController();
const show = async (address, arrived) => {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const content = document.getElementById("content");
  content.ariaBusy = "true";
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("content");
    if (!next) { location.assign(address); return; }
    changes += 1;  // answers for regions of the page before are dropped
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    document.documentElement.classList.remove("disconnected");
    document.title = page.title;
    document.querySelector("header nav").replaceWith(page.querySelector("header nav"));
    content.replaceWith(next);
    arrived(answer.url);
    shown = here();
    begin();
    next.focus({ preventScroll: true });
  } catch (error) { if (!signal.aborted) location.assign(address); }  // the server does not answer
};
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const elsewhere = !link || link.origin !== location.origin || link.hash || link.target || link.download;
  if (elsewhere || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const left = { y: scrollY };
  show(link.href, (address) => {
    history.replaceState(left, "");
    history.pushState(null, "", address);
    scrollTo(0, 0);
  });
});
addEventListener("popstate", ({ state }) => {
  if (shown !== here()) show(location.href, () => scrollTo(0, state?.y ?? 0));  // or only the part after # differs
});

begin();
