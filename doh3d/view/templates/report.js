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
  const views = [byId("original-view"), byId("decoded-view")];
  const axes = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1] };
  let camera = null;

  function numbers(base64, type) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    // Little-endian in the page, whatever the machine is.
    const view = new DataView(bytes.buffer), count = bytes.length / 2;
    return Array.from({ length: count }, (_, index) =>
      type === "places" ? view.getInt16(2 * index, true) / 32000 : view.getUint16(2 * index, true));
  }

  function trace(mesh, colour) {
    if (mesh === null) return [];
    const places = numbers(mesh.places, "places"), corners = numbers(mesh.corners, "corners");
    const every = (list, first) => list.filter((_, index) => index % 3 === first);
    return [{
      type: "mesh3d",
      x: every(places, 0), y: every(places, 1), z: every(places, 2),
      i: every(corners, 0), j: every(corners, 1), k: every(corners, 2),
      color: colour, hoverinfo: "skip", flatshading: false,
      // From over the viewer's left shoulder; ambient and diffuse together stay within the colour.
      lighting: { ambient: 0.35, diffuse: 0.65, specular: 0.15, roughness: 0.6, fresnel: 0,
        vertexnormalsepsilon: 0, facenormalsepsilon: 0 },
      lightposition: { x: -1e5, y: 1e5, z: 1e5 },
    }];
  }

  // From in front of a shape that stands upright, a little from the right and from above.
  function firstCamera() {
    const vertical = axes[up.value];
    const front = axes["xyz"[("xyz".indexOf(up.value) + 1) % 3]];
    const side = axes["xyz"[("xyz".indexOf(up.value) + 2) % 3]];
    const eye = [0, 1, 2].map((i) => 1.35 * front[i] + 0.55 * side[i] + 0.45 * vertical[i]);
    return { up: point(vertical), center: point([0, 0, 0]), eye: point(eye) };
  }

  const point = ([x, y, z]) => ({ x, y, z });
  const list = ({ x, y, z }) => [x, y, z];

  function layout() {
    const axis = { visible: false, range: [-1.05, 1.05], autorange: false, showspikes: false };
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "cube", camera,
        dragmode: "orbit", bgcolor: "rgba(0,0,0,0)" },
    };
  }

  function drawView(number) {
    const chosen = data.shapes[Number(shape.value)];
    const mesh = number === 0 ? chosen.original : chosen.levels[Number(rate.value)].mesh;
    const colour = variable(number === 0 ? "--original" : "--decoded");
    return Plotly.react(views[number], trace(mesh, colour), layout(), config);
  }

  function showRate() {
    const level = data.shapes[Number(shape.value)].levels[Number(rate.value)];
    text.textContent = level.text;
    rate.setAttribute("aria-valuetext", level.text);
    drawView(1);
  }

  function showShape() {
    const chosen = data.shapes[Number(shape.value)];
    rate.max = chosen.levels.length - 1;
    rate.value = rate.max;
    rate.disabled = chosen.levels.length < 2;
    byId("original-name").textContent = chosen.original ? "Original" : "Original: not there";
    drawView(0);
    showRate();
  }

  function setCamera(next, from) {
    camera = next;
    views.forEach((view, number) => {
      if (number !== from) Plotly.relayout(view, { "scene.camera": camera });
    });
  }

  // About the vertical, towards it, or nearer: all relative to where the camera is.
  function turn(how) {
    if (how === "reset") return setCamera(firstCamera());
    const vertical = list(camera.up), eye = list(camera.eye);
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const height = dot(eye, vertical);
    const flat = eye.map((value, i) => value - height * vertical[i]);
    const across = [0, 1, 2].map((i) =>
      vertical[(i + 1) % 3] * flat[(i + 2) % 3] - vertical[(i + 2) % 3] * flat[(i + 1) % 3]);
    const distance = Math.hypot(...eye), reach = Math.hypot(...flat) || 1e-6;
    const step = Math.PI / 12;
    let next = eye;
    if (how === "left" || how === "right") {
      const angle = how === "left" ? -step : step;
      next = eye.map((_, i) => height * vertical[i] + Math.cos(angle) * flat[i]
        + Math.sin(angle) * across[i]);
    } else if (how === "up" || how === "down") {
      const angle = Math.atan2(height, reach) + (how === "up" ? step : -step);
      const bounded = Math.max(-1.5, Math.min(1.5, angle));
      next = eye.map((_, i) => distance * (Math.sin(bounded) * vertical[i]
        + Math.cos(bounded) * flat[i] / reach));
    } else {
      const factor = how === "closer" ? 0.85 : 1 / 0.85;
      if (distance * factor < 0.3 || distance * factor > 6) return undefined;
      next = eye.map((value) => value * factor);
    }
    return setCamera({ ...camera, eye: point(next) });
  }

  camera = firstCamera();
  shape.addEventListener("change", showShape);
  rate.addEventListener("input", showRate);
  up.addEventListener("change", () => setCamera(firstCamera()));
  for (const button of document.querySelectorAll("[data-turn]")) {
    button.addEventListener("click", () => turn(button.dataset.turn));
  }
  showShape();
  views.forEach((view, number) => {
    for (const event of ["plotly_relayouting", "plotly_relayout"]) {
      view.on(event, (change) => {
        const moved = change["scene.camera"];
        if (moved && JSON.stringify(moved) !== JSON.stringify(camera)) setCamera(moved, number);
      });
    }
  });
  dark.addEventListener("change", () => { drawFigures(); drawView(0); drawView(1); });
})();
