const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const narrow = () => window.innerWidth < 720;

// Tables: sorted by any column, searched, rows of one block alone.
for (const section of all("section.tables")) {
  const table = section.querySelector("table.results");
  const block = table.querySelectorAll("thead th").length - 1;
  const shown = new DataTable(table, {
    paging: false,
    info: false,
    order: [],
    scrollX: true,
    fixedColumns: narrow() ? false : { start: 1 },
    columnDefs: [{ targets: block, visible: false }],
    layout: { topStart: null, topEnd: { search: { placeholder: "filter rows", text: "" } } },
  });
  choose(section, "block", (name) => {
    const exact = name && new RegExp(`^${name.replace(/[^\w ]/g, "\\$&")}$`);
    shown.column(block).search(exact || "").draw();
  });
}

function choose(root, key, use) {
  const buttons = all(`button[data-${key}]`, root);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      use(button.dataset[key]);
    });
  }
}

// Gallery: one kind of picture at a time, or all.
for (const gallery of all(".gallery")) {
  const show = (kind) => {
    gallery.dataset.show = kind;
    for (const pictures of all(".pictures", gallery)) {
      const some = kind === "all" || pictures.querySelector(`[data-kind=${kind}]`);
      pictures.querySelector(".lacking").style.display = some ? "none" : "block";
    }
  };
  show(gallery.dataset.show);
  choose(gallery, "kind", show);
}

// A link to a record opens it.
function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", open);
open();

const options = { responsive: true, displaylogo: false, displayModeBar: false };
const frame = (x, y) => ({
  margin: { l: 60, r: 15, t: 20, b: 50 },
  font: { family: "system-ui, sans-serif", size: 12 },
  xaxis: { title: { text: x }, zeroline: false, gridcolor: "#e8eaee", automargin: true },
  yaxis: { title: { text: y }, zeroline: false, gridcolor: "#e8eaee", automargin: true },
  legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
  hovermode: "closest",
});

/** 1, 2 and 5 times the powers of ten about the values, for a logarithmic axis. */
function logarithmic(values) {
  const low = Math.log10(Math.min(...values)), high = Math.log10(Math.max(...values));
  const pad = 0.08 * (high - low) + 0.05;
  const ticks = [];
  for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) {
    for (const digit of [1, 2, 5]) ticks.push(digit * 10 ** power);
  }
  return { type: "log", range: [low - pad, high + pad], tickvals: ticks, tickformat: "~s" };
}

// Quality beside cost.
const axis = document.getElementById("cost-axis");
function drawCost() {
  all(".plot.cost").forEach((place, k) => {
    const { quality, better, points } = data.cost[k];
    const known = points.filter((point) => point[axis.value] !== null);
    if (!known.length) return;
    const scale = logarithmic(known.map((point) => point[axis.value]));
    const middle = 10 ** ((scale.range[0] + scale.range[1]) / 2);
    const groups = [...new Set(known.map((point) => point.group))];
    const traces = groups.map((group) => {
      const chosen = known.filter((point) => point.group === group);
      return {
        type: "scatter",
        mode: narrow() ? "markers" : "markers+text",
        name: group,
        x: chosen.map((point) => point[axis.value]),
        y: chosen.map((point) => point.value),
        text: chosen.map((point) => `\u2009${point.label}\u2009`),
        textposition: chosen.map((point) => (point[axis.value] > middle ? "middle left" : "middle right")),
        textfont: { size: 10 },
        cliponaxis: false,
        marker: { size: 9, color: data.colours[group] },
        hovertemplate: "%{text}<br>%{x:.4~s}<br>%{y:.1f}<extra></extra>",
      };
    });
    const layout = frame(data.costs[axis.value], `${quality} (${better} is better)`);
    Object.assign(layout.xaxis, scale);
    Plotly.react(place, traces, layout, options);
  });
}
if (axis) {
  axis.addEventListener("change", drawCost);
  drawCost();
}

// Learning curves: one term of all methods, or all terms of one method.
const choice = document.getElementById("curve-choice");
if (choice) {
  const shared = new Map();
  for (const curve of data.curves) {
    for (const term of Object.keys(curve.terms)) {
      if (term === "loss" || /ari/.test(term)) {
        const key = `${term}\n${curve.dataset}`;
        shared.set(key, [...(shared.get(key) || []), curve]);
      }
    }
  }
  const single = new Map();
  for (const curve of data.curves) {
    const key = `${curve.label} (${curve.dataset})`;
    single.set(key, [...(single.get(key) || []), curve]);
  }
  const views = [
    ...[...shared].map(([key, curves]) => {
      const [term, dataset] = key.split("\n");
      return { name: `${term} of all methods, ${dataset}`, draw: () => drawTerm(term, curves) };
    }),
    ...[...single].map(([name, curves]) => ({ name, draw: () => drawMethod(curves) })),
  ];
  views.forEach((view, k) => choice.add(new Option(view.name, String(k))));
  choice.addEventListener("change", () => views[choice.value].draw());
  views[0].draw();
}

function line(curve, term, name, scaled) {
  const { step, value } = curve.terms[term];
  const low = Math.min(...value), high = Math.max(...value);
  return {
    type: "scatter",
    mode: value.length > 1 ? "lines" : "markers",
    name,
    x: step,
    y: scaled ? value.map((one) => (high > low ? (one - low) / (high - low) : 0)) : value,
    line: { width: 1.6 },
    hovertemplate: `${name}<br>step %{x}<br>%{y:.4~g}<extra></extra>`,
  };
}

function drawTerm(term, curves) {
  const scaled = term === "loss";
  const labels = curves.map((curve) => curve.label);
  const several = new Set(labels).size < labels.length;
  const traces = curves.map((curve, k) => {
    const trace = line(curve, term, several ? `${curve.label}, seed ${curve.seed}` : curve.label, scaled);
    trace.line.dash = ["solid", "dash", "dot"][Math.floor(k / 10) % 3]; // ten colours repeat
    return trace;
  });
  const layout = frame("training step", scaled ? "loss, scaled to its range" : term);
  Object.assign(layout.xaxis, logarithmic(curves.flatMap((curve) => curve.terms[term].step).filter((step) => step > 0)));
  Plotly.react("curve-plot", traces, layout, options);
}

function drawMethod(curves) {
  const traces = curves.flatMap((curve) =>
    Object.keys(curve.terms).map((term) => ({
      ...line(curve, term, curves.length > 1 ? `${term}, seed ${curve.seed}` : term, false),
      visible: term === "loss" || /ari/.test(term) ? true : "legendonly",
    })),
  );
  Plotly.react("curve-plot", traces, frame("training step", "value; click a name to show it"), options);
}

// Difference of the settings of two runs.
const [first, second] = ["run-a", "run-b"].map((id) => document.getElementById(id));
function drawDifference() {
  const [a, b] = [first, second].map((select) => data.settings[select.value].settings);
  const body = document.querySelector("#difference-table tbody");
  body.replaceChildren();
  for (const key of [...new Set([...Object.keys(a), ...Object.keys(b)])]) {
    if (a[key] === b[key]) continue;
    const row = body.insertRow();
    for (const text of [key, a[key] ?? "—", b[key] ?? "—"]) row.insertCell().textContent = text;
  }
  if (!body.rows.length) body.insertRow().insertCell().textContent = "no difference";
}
if (first) {
  data.settings.forEach((run, k) => {
    for (const select of [first, second]) select.add(new Option(run.label, String(k)));
  });
  // Two runs of one method differ least.
  const method = (run) => run.settings.method;
  const pairs = data.settings.flatMap((a, i) =>
    data.settings.slice(i + 1).map((b, k) => [a, b, i, i + 1 + k]),
  );
  const [, , i, k] = pairs.find(([a, b]) => method(a) && method(a) === method(b)) || pairs[0];
  first.value = String(i);
  second.value = String(k);
  for (const select of [first, second]) select.addEventListener("change", drawDifference);
  drawDifference();
}
document.documentElement.dataset.ready = "true";
