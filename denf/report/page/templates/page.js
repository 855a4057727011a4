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

/**
 * Where each point's label stands free of points and other labels, or "" where it does not: that
 * point says its name when it is pointed at. Earlier points choose first.
 * @param {{x: number, y: number, label: string}[]} points - in pixels.
 * @param {number} width - of the plot, in pixels.
 * @param {number} height - likewise.
 */
function placed(points, width, height) {
  const [size, radius, gap] = [12, 5, 3];
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "10px system-ui, sans-serif";
  const box = (x, y, w, h) => ({ left: x, right: x + w, top: y, bottom: y + h });
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const taken = points.map(({ x, y }) => box(x - radius, y - radius, 2 * radius, 2 * radius));
  return points.map(({ x, y, label }, own) => {
    const w = pen.measureText(label).width + 2 * gap;
    const places = {
      "middle right": box(x + radius, y - size / 2, w, size),
      "middle left": box(x - radius - w, y - size / 2, w, size),
      "top center": box(x - w / 2, y - radius - size - gap, w, size),
      "bottom center": box(x - w / 2, y + radius + gap, w, size),
    };
    const free = Object.entries(places).find(([, one]) =>
      one.left >= 0 && one.right <= width && one.top >= 0 && one.bottom <= height
        && !taken.some((other, k) => k !== own && meet(one, other)),
    );
    if (!free) return "";
    taken.push(free[1]);
    return free[0];
  });
}

// Quality beside cost.
const LEGEND = 20; // pixels below the axis
const axis = document.getElementById("cost-axis");
function drawCost() {
  all(".plot.cost").forEach((place, k) => {
    const { quality, better, points } = data.cost[k];
    const known = points.filter((point) => point[axis.value] !== null);
    if (!known.length) return;
    const scale = logarithmic(known.map((point) => point[axis.value]));
    const layout = frame(data.costs[axis.value], `${quality} (${better} is better)`);
    const values = known.map((point) => point.value);
    const spread = Math.max(...values) - Math.min(...values) || 1;
    const range = [Math.min(...values) - 0.08 * spread, Math.max(...values) + 0.08 * spread];
    Object.assign(layout.xaxis, scale);
    Object.assign(layout.yaxis, { range });
    const width = place.clientWidth - layout.margin.l - layout.margin.r;
    const height = place.clientHeight - layout.margin.t - layout.margin.b - LEGEND;
    const share = (value, [low, high]) => (value - low) / (high - low);
    const positions = placed(
      known.map((point) => ({
        x: width * share(Math.log10(point[axis.value]), scale.range),
        y: height * (1 - share(point.value, range)),
        label: point.label,
      })),
      width,
      height,
    );
    const free = new Map(known.map((point, k) => [point, positions[k]]));
    const groups = [...new Set(known.map((point) => point.group))];
    const traces = groups.map((group) => {
      const chosen = known.filter((point) => point.group === group);
      return {
        type: "scatter",
        mode: narrow() ? "markers" : "markers+text",
        name: group,
        x: chosen.map((point) => point[axis.value]),
        y: chosen.map((point) => point.value),
        customdata: chosen.map((point) => point.label),
        text: chosen.map((point) => (free.get(point) ? `\u2009${point.label}\u2009` : "")),
        textposition: chosen.map((point) => free.get(point) || "middle right"),
        textfont: { size: 10 },
        cliponaxis: false,
        marker: { size: 9, color: data.colours[group] },
        hovertemplate: "%{customdata}<br>%{x:.4~s}<br>%{y:.1f}<extra></extra>",
      };
    });
    Plotly.react(place, traces, layout, options);
  });
}
if (axis) {
  axis.addEventListener("change", drawCost);
  addEventListener("resize", drawCost);
  drawCost();
}

// Learning curves: one term of all methods, or all terms of one method.
const ARI = "validation_ari_fg";
const named = (term) => (term === ARI ? "foreground ARI" : term);
const choice = document.getElementById("curve-choice");
if (choice) {
  const shared = new Map();
  for (const curve of data.curves) {
    for (const term of Object.keys(curve.terms)) {
      if (term === "loss" || term === ARI) {
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
  const place = (key) => Number(!key.startsWith(ARI)); // before losses
  const ordered = [...shared].sort(([a], [b]) => place(a) - place(b));
  const views = [
    ...ordered.map(([key, curves]) => {
      const [term, dataset] = key.split("\n");
      return { name: `${named(term)} of all methods, ${dataset}`, draw: () => drawTerm(term, curves) };
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
    mode: ["markers", "lines+markers", "lines"][Number(value.length > 1) + Number(value.length > 20)],
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
  const layout = frame("training step", scaled ? "loss, scaled to its range" : named(term));
  Object.assign(layout.xaxis, logarithmic(curves.flatMap((curve) => curve.terms[term].step).filter((step) => step > 0)));
  Plotly.react("curve-plot", traces, layout, options);
}

function drawMethod(curves) {
  const traces = curves.flatMap((curve) =>
    Object.keys(curve.terms).map((term) => ({
      ...line(curve, term, curves.length > 1 ? `${named(term)}, seed ${curve.seed}` : named(term), false),
      visible: term === "loss" || term === ARI ? true : "legendonly",
      yaxis: term === ARI ? "y2" : "y",
    })),
  );
  const layout = frame("training step", "value; click a name to show it");
  layout.yaxis2 = { title: { text: named(ARI) }, overlaying: "y", side: "right", range: [0, 1], showgrid: false };
  if (traces.some((trace) => trace.yaxis === "y2")) layout.margin.r = 60;
  else delete layout.yaxis2;
  Plotly.react("curve-plot", traces, layout, options);
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
