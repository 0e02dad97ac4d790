"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displaylogo: false, displayModeBar: false };

  const variable = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Figures come without ink or grid: these are the page's, which may be dark.
  function inked(layout) {
    const axis = {
      gridcolor: variable("--grid"),
      linecolor: variable("--line"),
      zerolinecolor: variable("--grid"),
      showgrid: true,
    };
    return {
      ...layout,
      font: { color: variable("--ink"), family: "system-ui, sans-serif", size: 12 },
      xaxis: { ...layout.xaxis, ...axis },
      yaxis: { ...layout.yaxis, ...axis },
      hoverlabel: { ...layout.hoverlabel, bgcolor: variable("--raised"),
        font: { color: variable("--ink") }, bordercolor: variable("--line") },
    };
  }

  function drawFigures() {
    for (const place of document.querySelectorAll(".plot")) {
      const figure = data.figures[Number(place.dataset.figure)];
      Plotly.react(place, figure.data, inked(figure.layout), config);
    }
  }

  function sortTable(table, column) {
    const heads = [...table.tHead.rows[0].cells];
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const numeric = heads[column].classList.contains("number");
    const key = (row) => {
      const cell = row.cells[column];
      if (!numeric) return cell.textContent;
      return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    };
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    const order = new Intl.Collator(undefined, { numeric: true });
    rows.sort(([a], [b]) => {
      // What has no value is last either way.
      if (a === null || b === null) return (a === null) - (b === null);
      const difference = numeric ? a - b : order.compare(a, b);
      return descending ? -difference : difference;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table")) {
    [...table.tHead.rows[0].cells].forEach((head, column) =>
      head.firstElementChild.addEventListener("click", () => sortTable(table, column)));
  }

  drawFigures();
  if (!data.shapes.length) {
    dark.addEventListener("change", drawFigures);
    return;
  }

  const shape = byId("shape"), rate = byId("rate"), text = byId("rate-text"), up = byId("up");
  const resolution = byId("resolution");
  const views = [byId("original-view"), byId("decoded-view")];
  const [originalView, decodedView] = views;
  const chosen = () => data.shapes[Number(shape.value)];

  // Places are int16, corners uint16, little-endian in the page whatever the machine is.
  function unpacked({ original, centre, half }) {
    const places = doh3d.fromBase64(original.places), corners = doh3d.fromBase64(original.corners);
    const place = new DataView(places.buffer), corner = new DataView(corners.buffer);
    const positions = Float32Array.from({ length: places.length / 2 }, (_, i) =>
      centre[i % 3] + place.getInt16(2 * i, true) / 32000 * 1.02 * half);
    const indices = Uint32Array.from({ length: corners.length / 2 }, (_, i) =>
      corner.getUint16(2 * i, true));
    return { positions, indices };
  }

  function showRate() {
    const level = chosen().levels[Number(rate.value)];
    text.textContent = level.text;
    rate.setAttribute("aria-valuetext", level.text);
    decodedView.load(doh3d.fromBase64(level.file), `Reconstruction, ${level.text}`);
  }

  function showShape() {
    const { original, levels, box } = chosen();
    rate.max = levels.length - 1;
    rate.value = rate.max;
    rate.disabled = levels.length < 2;
    byId("original-name").textContent = original ? "Original" : "Original: not there";
    for (const view of views) view.box = box;
    if (original) originalView.showMesh(unpacked(chosen()), "Original");
    else originalView.clear();
    showRate();
  }

  function setUp() {
    for (const view of views) view.setAttribute("up", up.value);
  }

  function setColours() {
    [["--original", originalView], ["--decoded", decodedView]].forEach(([name, view]) => {
      const hex = parseInt(variable(name).slice(1), 16);
      view.colour = [hex >> 16, (hex >> 8) & 255, hex & 255].map((part) => part / 255);
      view.redraw();
    });
  }

  for (const view of views) {
    view.addEventListener("doh-view", ({ detail }) => views.forEach((each) => { each.view = detail; }));
  }
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => {
      const next = doh3d.afterKey(originalView.view, button.dataset.key);
      views.forEach((view) => { view.view = next; });
    });
  }
  shape.addEventListener("change", showShape);
  rate.addEventListener("input", showRate);
  up.addEventListener("change", setUp);
  const setResolution = () => decodedView.setAttribute("resolution", resolution.value);
  resolution.addEventListener("change", setResolution);
  setUp();
  setColours();
  setResolution();
  showShape();
  dark.addEventListener("change", () => { drawFigures(); setColours(); });
})();
