"use strict";
const byId = name => document.getElementById(name);
const loaded = {};  // day -> runs, newest first
const days = {};    // day -> DAG -> [runs, failed, running, incidents]
const FIELDS = ["text", "dag", "status"], NOTHING = {day: "", dag: ""}, {lang, dataset: {zone}} = document.documentElement, WORDS = JSON.parse(document.documentElement.dataset.words);
const time = new Intl.DateTimeFormat("sv-SE", {dateStyle: "short", timeStyle: "medium", timeZone: zone});  // 2026-11-22 08:00:03
const local = started => time.format(new Date(started + "Z"));
let marked = null, month = "", newest = "", chosen = NOTHING, opened = "", shown = 200, asked = 0;

function say(text, ...values) {  // in the language of the page; without a translation as it is
  return (WORDS[text] ?? text).replace(/\{\}/g, () => values.shift());
}
const written = (number, digits = 0) => number.toLocaleString(lang, {minimumFractionDigits: digits, maximumFractionDigits: digits});
const many = (number, one, more) => say(number === 1 ? one : more, written(number));
function make(tag, className, text) {  // text is never markup
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined && text !== null) element.textContent = text;
  return element;
}
function script(file) {
  return new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = file;
    tag.onload = () => { tag.remove(); resolve(); };
    tag.onerror = () => { tag.remove(); reject(new Error(file)); };
    document.head.append(tag);
  });
}
function overview(found) { Object.assign(days, found.days); }
function day(name, runs) {
  loaded[name] = Object.entries(runs).map(([path, run]) => ({
    ...run, path, text: [path, run.status, say(run.status), run.parameters, run.error, run.headline].join(" ").toLowerCase(),
  })).sort((a, b) => b.period.localeCompare(a.period) || b.started.localeCompare(a.started));
  const step = run => [run.path.slice(0, run.path.lastIndexOf("/")), run.task, run.map].join("\n"), good = {};
  for (const run of loaded[name]) if (run.status === "succeeded") good[step(run)] = Math.max(run.try, good[step(run)] ?? 0);
  for (const run of loaded[name]) run.healed = kind(run) === "bad" && good[step(run)] > run.try;
}
const need = name => loaded[name] ? null : script(`.index/days/${name}.js`).catch(() => { loaded[name] = []; });
const kind = run => ({succeeded: "good", running: "busy", waiting: "busy", skipped: "skipped"})[run.status] ?? (run.healed ? "healed" : "bad");
const said = run => ({good: "✓ ", busy: "… ", skipped: "– ", healed: "↻ "})[kind(run)] ?? "✗ ";
const wanted = () => ({words: byId("text").value.toLowerCase().split(/\s+/).filter(Boolean), dag: byId("dag").value || chosen.dag, status: byId("status").value});
function fits(run, filter) {
  return (!filter.dag || run.dag === filter.dag) && filter.words.every(word => run.text.includes(word)) &&
    (!filter.status || run.status === filter.status || (filter.status === "!" && kind(run) === "bad") || (filter.status === "+" && run.incidents > 0));
}
function worthLoading(name, filter) {  // what the overview already rules out stays on disk
  const found = Object.entries(days[name]).filter(([dag]) => !filter.dag || dag === filter.dag).map(([, counts]) => counts);
  const sum = at => found.reduce((total, counts) => total + counts[at], 0);
  if (filter.status === "+") return sum(3) > 0;
  if (["running", "waiting"].includes(filter.status)) return sum(2) > 0;
  if (filter.status === "succeeded") return sum(0) > sum(1) + sum(2);
  return filter.status === "!" ? sum(1) > 0 : found.length > 0;
}
function calendar() {
  const table = byId("days"), filter = wanted();
  const [year, number] = month.split("-").map(Number), last = new Date(year, number, 0).getDate();
  byId("month").textContent = new Date(year, number - 1).toLocaleString(lang, {month: "long", year: "numeric"});
  const dates = Array.from({length: last}, (_, i) => `${month}-${String(i + 1).padStart(2, "0")}`);
  const head = make("tr");
  head.append(make("td"), ...dates.map(d => {
    const of = make("th", [0, 6].includes(new Date(d + "T12:00").getDay()) ? "weekend" : "", +d.slice(8));
    if (d === chosen.day) of.setAttribute("aria-current", "date");
    return of;
  }));
  const focused = document.activeElement.dataset.cell;
  byId("day").value = chosen.day;
  byId("earlier").disabled = !monthBeside(-1);
  byId("later").disabled = !monthBeside(1);
  const rows = [...byId("dag").options].slice(1).map(option => option.value).filter(dag => !filter.dag || byId("dag").value === "" || dag === filter.dag).map(dag => {
    const row = make("tr");
    row.append(make("th", "", dag), ...dates.map(date => {
      const [runs, failed, running, incidents] = days[date]?.[dag] ?? [0, 0, 0, 0];
      const cell = make("td", !runs ? "none" : failed ? "bad" : running ? "busy" : "good");
      if (!runs) return cell;
      const button = make("button", "", (failed ? "✗" : running ? "…" : "✓") + (incidents || "")), picked = chosen.day === date && chosen.dag === dag;
      button.title = `${dag}, ${date}: ${many(runs, "{} run", "{} runs")}, ${failed ? say("{} failed", failed) : running ? "" : say("all succeeded")}${running ? " " + say("{} running", running) : ""}, ${many(incidents, "{} incident", "{} incidents")}`;
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", picked);
      button.dataset.cell = `${date} ${dag}`;
      button.tabIndex = picked ? 0 : -1;
      button.onclick = () => see(picked ? NOTHING : {day: date, dag});
      cell.append(button);
      return cell;
    }));
    return row;
  });
  const thead = make("thead"), tbody = make("tbody");
  thead.append(head); tbody.append(...rows); table.replaceChildren(thead, tbody);
  const buttons = [...table.querySelectorAll("button")];
  if (buttons.length && !buttons.some(button => button.tabIndex === 0)) buttons.at(-1).tabIndex = 0;
  buttons.find(button => button.dataset.cell === focused)?.focus({preventScroll: true});
  const busy = [...table.querySelectorAll("td:not(.none)")].map(cell => cell.offsetLeft), view = table.parentNode;
  view.scrollLeft = Math.max(0, ...busy) - view.clientWidth + 60;  // on a phone: the latest days with runs are in view
}
function address(path, suffix) { return path.split("/").map(encodeURIComponent).join("/") + suffix; }
function detail(run) {
  const box = make("div", "detail");
  box.append(make("div", "", `${run.path} · ${say(run.status)}${run.healed ? say(", then succeeded") : ""} · ${say("started {}", local(run.started))}`), make("div", "", run.parameters));
  if (run.error) box.append(make("pre", "", run.error));
  const files = [[".html", say("page")], [".ipynb", say("notebook")], [".json", say("record")]];
  if (run.compared) files.splice(1, 0, [".diff.html", say("compared with the previous run")]);
  for (const [suffix, text] of files) {
    const link = make("a", "", text);
    link.href = address(run.path, suffix);
    box.append(link);
  }
  const here = new URLSearchParams({day: run.day, run: run.path});
  const whole = new URLSearchParams({day: run.day, text: run.path.slice(0, run.path.lastIndexOf("/") + 1)});
  for (const [text, to] of [[say("its run"), whole], [say("previous"), here + "&go=previous"], [say("next"), here + "&go=next"]]) {
    const link = make("a", "", text);
    link.href = "#" + to;
    box.append(link);
  }
  const pick = make("button", "", marked?.path === run.path ? say("picked") : say("pick to compare"));
  pick.onclick = () => { marked = run; pick.textContent = say("picked"); };
  box.append(pick);
  if (marked && marked !== run && marked.dag === run.dag && marked.task === run.task) {
    const both = make("button", "", say("beside {}", marked.period + (marked.period === run.period ? `, ${say("try {}", marked.try)}, ${say("started {}", local(marked.started))}` : ""))), pair = [marked, run];
    pair.sort((a, b) => a.period.localeCompare(b.period) || a.started.localeCompare(b.started));
    both.onclick = () => beside(...pair);
    box.append(both, make("pre", "", `pulsebook archive diff ${pair.map(one => `'${one.path}'`).join(" ")}`));
  }
  return box;
}
function beside(...runs) {  // two pages next to each other; what differs in numbers and code the command tells
  const box = make("dialog"), close = make("button", "", say("close"));
  box.append(...runs.map(run => { const frame = make("iframe"); frame.src = address(run.path, ".html"); frame.title = run.path; frame.sandbox = "allow-popups"; return frame; }), close);
  close.onclick = () => box.close();
  box.onclose = () => box.remove();
  document.body.append(box);
  box.showModal();
}
const step = run => run.map === undefined ? run.task : `${run.task} [${run.map}]`;  // of a mapped task: which
function row(run) {
  const line = make("div", "run"), open = make("button", "open", "▸"), what = make("span", "what"), name = make("a", "", step(run));
  const status = make("span", `status ${kind(run)}`, said(run) + (run.healed ? say("{}, retried", say(run.status)) : say(run.status)));
  open.setAttribute("aria-label", say("details of {}, {}, {}", step(run), run.dag, run.period));
  open.setAttribute("aria-expanded", false);
  const slot = run.period.length > 10 ? ", " + say("slot {}", run.period.slice(11, 16)) : "";  // in the business time zone
  name.href = address(run.path, ".html");
  what.append(name, make("small", "", ` ${run.dag}${slot}${run.try > 1 ? ", " + say("try {}", run.try) : ""}`));
  line.append(open, status, make("span", "time", local(run.started).slice(11, 16)), what);
  line.append(make("span", "took", run.duration === null ? "" : run.duration < 120 ? say("{} s", written(run.duration, 1)) : say("{} min", written(run.duration / 60))));
  const headline = make("span", `said${run.error ? " error" : ""}`);
  if (run.incidents) headline.append(make("span", "many", many(run.incidents, "{} incident", "{} incidents")), " ");
  headline.append(run.error ? `${say(run.status)}: ${run.error.split("\n")[0]}` : run.headline ?? "");
  line.append(headline);
  line.dataset.run = run.path;
  line.onclick = event => {
    if (event.target.tagName === "A") return;
    const closes = line.nextSibling?.className === "detail";
    if (closes) line.nextSibling.remove(); else line.after(detail(run));
    open.setAttribute("aria-expanded", !closes);
    opened = closes ? "" : run.path;
    remember();
  };
  return line;
}
async function draw() {
  const call = ++asked, filter = wanted(), target = make("section");
  calendar();
  const until = chosen.day || `${month}-99`;
  const queue = Object.keys(days).sort().reverse().filter(name => (chosen.day ? name === chosen.day : name <= until) && worthLoading(name, filter));
  let count = 0, seen = 0;
  for (const batch of Array.from({length: Math.ceil(queue.length / 8)}, (_, i) => queue.slice(8 * i, 8 * i + 8))) {
    await Promise.all((count ? batch : batch.slice()).map(need));
    if (call !== asked) return;  // the filter has changed meanwhile
    for (const name of batch) {
      const found = loaded[name].filter(run => fits(run, filter));
      seen += 1;
      if (!found.length || count >= shown) continue;
      target.append(make("h3", "", new Date(name + "T12:00").toLocaleDateString(lang, {weekday: "long", day: "numeric", month: "long", year: "numeric"})));
      target.append(...found.slice(0, shown - count).map(row));
      count += found.length;
    }
    if (count >= shown) break;
    byId("state").textContent = say("{} of {} days searched …", seen, queue.length);
  }
  if (!count) target.append(make("p", "", say("no runs")));
  target.id = "runs";
  target.setAttribute("aria-label", say("runs"));
  byId("runs").replaceWith(target);
  const line = opened && [...target.querySelectorAll(".run")].find(one => one.dataset.run === opened);
  if (line) { line.click(); line.scrollIntoView({block: "center"}); }
  byId("more").hidden = !(count > shown || seen < queue.length);
  const sum = at => Object.values(days).reduce((all, dags) => all + Object.values(dags).reduce((part, counts) => part + counts[at], 0), 0);
  byId("state").textContent = `${many(sum(0), "{} run", "{} runs")} ${many(Object.keys(days).length, "on {} day", "on {} days")}, ${say("{} not succeeded", written(sum(1)))}, ${many(sum(3), "{} incident", "{} incidents")}; ${say("times of {}", zone)}`;
  document.body.dataset.ready ??= Math.round(performance.now());  // milliseconds until the first list
  document.body.dataset.drawn = call;
}
function monthBeside(by) {  // the next one with runs
  const months = [...new Set(Object.keys(days).map(day => day.slice(0, 7)))].sort();
  return by < 0 ? months.findLast(one => one < month) : months.find(one => one > month);
}
function remember(push) {  // what is seen, in the address
  const to = new URLSearchParams();
  for (const name of FIELDS) if (byId(name).value) to.set(name, byId(name).value);
  if (chosen.day) to.set("day", chosen.day); else if (month !== newest) to.set("month", month);
  if (chosen.dag) to.set("in", chosen.dag);
  if (opened) to.set("run", opened);
  const address = location.href.split("#")[0] + (to.size ? "#" + String(to).replaceAll("%2F", "/").replaceAll("%3A", ":") : "");
  if (address !== location.href) history[push ? "pushState" : "replaceState"](null, "", address);
}
function restore() {  // what an address holds: index.html#text=ctr&dag=alerts&status=failed&day=2026-11-22
  const given = new URLSearchParams(location.hash.slice(1)), of = (name, form) => form.test(given.get(name) ?? "") ? given.get(name) : "";
  for (const name of FIELDS) byId(name).value = given.get(name) ?? "";
  const day = of("day", /^\d{4}-(0[1-9]|1[0-2])-\d\d$/);
  opened = given.get("run") ?? "";
  chosen = {day, dag: day && (given.get("in") ?? "")};
  month = day.slice(0, 7) || of("month", /^\d{4}-(0[1-9]|1[0-2])$/) || newest;
  shown = opened ? 2000 : 200;
  byId("note").textContent = "";
  if (given.has("go")) follow(day, opened, given.get("go")); else draw();
}
const LACKING = {previous: "{} of {}, {}, has no earlier run here", next: "{} of {}, {}, has no later run here", comparison: "{} of {}, {}, has no comparison here"};
async function follow(day, name, go) {  // to what a page could not know when it was written
  if (days[day]) await need(day);
  const own = loaded[day]?.find(run => run.path === name), key = run => /^\d/.test(run.period) ? run.period : run.started;
  if (own && go === "comparison" && own.compared) return location.replace(address(name, ".diff.html"));
  if (own && (go === "previous" || go === "next")) {
    const back = go === "previous", names = Object.keys(days).filter(one => own.dag in days[one] && (back ? one <= day : one >= day)).sort();
    for (const one of back ? names.reverse() : names) {
      await need(one);
      const found = loaded[one].filter(run => run.dag === own.dag && run.task === own.task && run.map === own.map && kind(run) !== "busy" && (back ? key(run) < key(own) : key(run) > key(own)));
      const nearest = back ? found[0] : found.find(run => key(run) === key(found.at(-1)));
      if (nearest) return location.replace(address(nearest.path, ".html"));
    }
  }
  byId("note").textContent = own ? say(LACKING[go] ?? LACKING.comparison, step(own), own.dag, own.period) : say("{} is not in the archive any more", name);
  draw();
}
function see(what, to = what.day.slice(0, 7) || month) {
  chosen = what; month = to; opened = ""; shown = 200; byId("note").textContent = "";
  remember(true); draw();
}
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
byId("days").onkeydown = event => {  // to the next cell with runs; up and down to the nearest day of the next row
  const by = ARROWS[event.key], own = event.target.closest("td");
  if (!by || !own) return;
  event.preventDefault();
  const inRow = row => [...row.querySelectorAll("td")].filter(cell => cell.firstChild), row = own.parentNode;
  let to = inRow(row)[inRow(row).indexOf(own) + by[0]];
  if (by[1]) {
    const rows = [...row.parentNode.rows].filter(one => inRow(one).length), other = rows[rows.indexOf(row) + by[1]];
    to = other && inRow(other).sort((a, b) => Math.abs(a.cellIndex - own.cellIndex) - Math.abs(b.cellIndex - own.cellIndex))[0];
  }
  if (!to) return;
  event.target.tabIndex = -1; to.firstChild.tabIndex = 0; to.firstChild.focus();
};
document.onkeydown = event => {  // from row to row
  const line = event.target.closest(".run"), by = ARROWS[event.key]?.[1];
  if (!line || !by) return;
  event.preventDefault();
  const lines = [...document.querySelectorAll(".run")];
  lines[lines.indexOf(line) + by]?.querySelector("button").focus();
};
let typing;
byId("text").oninput = () => { clearTimeout(typing); typing = setTimeout(() => { shown = 200; opened = ""; remember(); draw(); }, 150); };
for (const name of ["dag", "status"]) byId(name).onchange = () => see(chosen.dag ? NOTHING : chosen);
byId("day").onchange = () => see({day: byId("day").value, dag: ""});
byId("filter").onsubmit = event => event.preventDefault();
byId("filter").onreset = () => setTimeout(() => see(NOTHING));
byId("earlier").onclick = () => see(NOTHING, monthBeside(-1));
byId("later").onclick = () => see(NOTHING, monthBeside(1));
byId("more").onclick = () => { shown += 300; draw(); };
script(".index/overview.js").then(() => {
  const dags = [...new Set(Object.values(days).flatMap(Object.keys))].sort();
  byId("dag").append(...dags.map(dag => make("option", "", dag)));
  const today = new Date().toISOString();
  newest = (Object.keys(days).sort().findLast(day => day <= today) ?? today).slice(0, 7);  // a mistyped day may lie ahead
  onpopstate = restore;
  restore();
}, () => { byId("state").textContent = say("the index has no data yet: run something, or pulsebook archive index"); });
