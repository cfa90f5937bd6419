"use strict";
const byId = name => document.getElementById(name);
const loaded = {};  // day -> runs, newest first
const days = {};    // day -> DAG -> [runs, failed, running, incidents]
let marked = null, month = "", chosen = {day: "", dag: ""}, shown = 200, asked = 0;

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
    ...run, path, text: [path, run.status, run.parameters, run.error, run.headline].join(" ").toLowerCase(),
  })).sort((a, b) => b.period.localeCompare(a.period) || b.started.localeCompare(a.started));
}
const need = name => loaded[name] ? null : script(`.index/days/${name}.js`).catch(() => { loaded[name] = []; });
const kind = status => ({succeeded: "good", running: "busy", skipped: "skipped"})[status] ?? "bad";
const wanted = () => ({words: byId("text").value.toLowerCase().split(/\s+/).filter(Boolean), dag: byId("dag").value || chosen.dag, status: byId("status").value});
function fits(run, filter) {
  return (!filter.dag || run.dag === filter.dag) && filter.words.every(word => run.text.includes(word)) &&
    (!filter.status || run.status === filter.status || (filter.status === "!" && kind(run.status) === "bad") || (filter.status === "+" && run.incidents > 0));
}
function worthLoading(name, filter) {  // what the overview already rules out stays on disk
  const found = Object.entries(days[name]).filter(([dag]) => !filter.dag || dag === filter.dag).map(([, counts]) => counts);
  const sum = at => found.reduce((total, counts) => total + counts[at], 0);
  if (filter.status === "+") return sum(3) > 0;
  if (filter.status === "running") return sum(2) > 0;
  if (filter.status === "succeeded") return sum(0) > sum(1) + sum(2);
  return filter.status && filter.status !== "skipped" ? sum(1) > 0 : found.length > 0;
}
function calendar() {
  const table = byId("days"), filter = wanted();
  const [year, number] = month.split("-").map(Number), last = new Date(year, number, 0).getDate();
  byId("month").textContent = new Date(year, number - 1).toLocaleString("en", {month: "long", year: "numeric"});
  const dates = Array.from({length: last}, (_, i) => `${month}-${String(i + 1).padStart(2, "0")}`);
  const head = make("tr");
  head.append(make("th"), ...dates.map(d => make("th", [0, 6].includes(new Date(d + "T12:00").getDay()) ? "weekend" : "", +d.slice(8))));
  const rows = [...byId("dag").options].slice(1).map(option => option.value).filter(dag => !filter.dag || byId("dag").value === "" || dag === filter.dag).map(dag => {
    const row = make("tr");
    row.append(make("th", "", dag), ...dates.map(date => {
      const [runs, failed, running, incidents] = days[date]?.[dag] ?? [0, 0, 0, 0];
      const cell = make("td", !runs ? "none" : failed ? "bad" : running ? "busy" : "good", incidents || "");
      if (!runs) return cell;
      cell.title = `${dag}, ${date}: ${runs} runs, ${failed} failed, ${running} running, ${incidents} incidents`;
      if (chosen.day === date && chosen.dag === dag) cell.classList.add("chosen");
      cell.onclick = () => { chosen = cell.classList.contains("chosen") ? {day: "", dag: ""} : {day: date, dag}; shown = 200; draw(); };
      return cell;
    }));
    return row;
  });
  const thead = make("thead"), tbody = make("tbody");
  thead.append(head); tbody.append(...rows); table.replaceChildren(thead, tbody);
  const busy = [...table.querySelectorAll("td:not(.none)")].map(cell => cell.offsetLeft), view = table.parentNode;
  view.scrollLeft = Math.max(0, ...busy) - view.clientWidth + 60;  // on a phone: the latest days with runs are in view
}
function address(path, suffix) { return path.split("/").map(encodeURIComponent).join("/") + suffix; }
function detail(run) {
  const box = make("div", "detail");
  box.append(make("div", "", `${run.path} · ${run.status} · started ${run.started.replace("T", " ")} UTC`), make("div", "", run.parameters));
  if (run.error) box.append(make("pre", "", run.error));
  const files = [[".html", "page"], [".ipynb", "notebook"], [".json", "record"]];
  if (run.compared) files.splice(1, 0, [".diff.html", "compared with the previous run"]);
  for (const [suffix, text] of files) {
    const link = make("a", "", text);
    link.href = address(run.path, suffix);
    box.append(link);
  }
  const pick = make("button", "", marked?.path === run.path ? "picked" : "pick to compare");
  pick.onclick = () => { marked = run; pick.textContent = "picked"; };
  box.append(pick);
  if (marked && marked !== run && marked.dag === run.dag && marked.task === run.task) {
    const both = make("button", "", `beside ${marked.period}`), pair = [marked, run];
    pair.sort((a, b) => a.period.localeCompare(b.period) || a.started.localeCompare(b.started));
    both.onclick = () => beside(...pair);
    box.append(both, make("pre", "", `pulsebook archive diff ${pair.map(one => `'${one.path}'`).join(" ")}`));
  }
  return box;
}
function beside(...runs) {  // two pages next to each other; what differs in numbers and code the command tells
  const box = make("dialog"), close = make("button", "", "close");
  box.append(...runs.map(run => { const frame = make("iframe"); frame.src = address(run.path, ".html"); frame.title = run.path; frame.sandbox = "allow-popups"; return frame; }), close);
  close.onclick = () => box.close();
  box.onclose = () => box.remove();
  document.body.append(box);
  box.showModal();
}
const step = run => run.map === undefined ? run.task : `${run.task} [${run.map}]`;  // of a mapped task: which
const many = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
function row(run) {
  const line = make("div", "run"), dot = make("i", kind(run.status)), what = make("span", "what"), name = make("a", "", step(run));
  dot.title = run.status;
  const slot = run.period.length > 10 ? `, slot ${run.period.slice(11, 16)}` : "";  // in the business time zone
  name.href = address(run.path, ".html");
  what.append(name, make("small", "", ` ${run.dag}${slot}${run.try > 1 ? `, try ${run.try}` : ""}`));
  line.append(dot, make("span", "time", run.started.slice(11, 16)), what);
  if (run.incidents) line.append(make("span", "many", many(run.incidents, "incident")));
  line.append(make("span", "took", run.duration === null ? "" : run.duration < 120 ? `${run.duration.toFixed(1)} s` : `${Math.round(run.duration / 60)} min`));
  line.append(make("span", `said${run.error ? " error" : ""}`, run.error ? `${run.status}: ${run.error.split("\n")[0]}` : run.headline));
  line.onclick = event => {
    if (event.target.tagName === "A") return;
    if (line.nextSibling?.className === "detail") line.nextSibling.remove(); else line.after(detail(run));
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
      target.append(make("h3", "", new Date(name + "T12:00").toLocaleDateString("en", {weekday: "long", day: "numeric", month: "long", year: "numeric"})));
      target.append(...found.slice(0, shown - count).map(row));
      count += found.length;
    }
    if (count >= shown) break;
    byId("state").textContent = `${seen} of ${queue.length} days searched …`;
  }
  if (!count) target.append(make("p", "", "no runs"));
  target.id = "runs";
  byId("runs").replaceWith(target);
  byId("more").hidden = !(count > shown || seen < queue.length);
  const sum = at => Object.values(days).reduce((all, dags) => all + Object.values(dags).reduce((part, counts) => part + counts[at], 0), 0);
  byId("state").textContent = `${many(sum(0), "run")} on ${many(Object.keys(days).length, "day")}, ${sum(1).toLocaleString("en")} not succeeded, ${many(sum(3), "incident")}; times of start in UTC`;
  document.body.dataset.ready ??= Math.round(performance.now());  // milliseconds until the first list
  document.body.dataset.drawn = call;
}
function move(by) {
  const [year, number] = month.split("-").map(Number), to = new Date(year, number - 1 + by, 15);
  month = `${to.getFullYear()}-${String(to.getMonth() + 1).padStart(2, "0")}`;
  chosen = {day: "", dag: ""}; shown = 200; draw();
}
let typing;
byId("text").oninput = () => { clearTimeout(typing); typing = setTimeout(() => { shown = 200; draw(); }, 150); };
for (const name of ["dag", "status"]) byId(name).onchange = () => { shown = 200; chosen = {day: "", dag: ""}; draw(); };
byId("filter").onsubmit = event => event.preventDefault();
byId("filter").onreset = () => setTimeout(() => { chosen = {day: "", dag: ""}; shown = 200; draw(); });
byId("earlier").onclick = () => move(-1);
byId("later").onclick = () => move(1);
byId("more").onclick = () => { shown += 300; draw(); };
script(".index/overview.js").then(() => {
  const dags = [...new Set(Object.values(days).flatMap(Object.keys))].sort();
  byId("dag").append(...dags.map(dag => make("option", "", dag)));
  const today = new Date().toISOString();
  month = (Object.keys(days).sort().findLast(day => day <= today) ?? today).slice(0, 7);  // a mistyped day may lie ahead
  const given = new URLSearchParams(location.hash.slice(1));  // index.html#text=ctr&dag=alerts&status=failed
  for (const name of ["text", "dag", "status"]) if (given.has(name)) byId(name).value = given.get(name);
  draw();
}, () => { byId("state").textContent = "the index has no data yet: run something, or pulsebook archive index"; });
