'use strict';
(() => {
  const MANY = 500; // with more scans only outliers are drawn as points
  const PAGE = 100; // rows of the table at a time
  const data = JSON.parse(document.getElementById('data').textContent);
  const pages = new Set(data.pages);
  const done = data.rows.filter((row) => row.brain_mean !== null);
  const measures = data.measures.filter((m) => done.some((row) => row[m.name] !== null));
  const byId = (id) => document.getElementById(id);

  // Plotly interprets texts as a kind of HTML.
  const plain = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  const titleOf = (m) => (m.unit ? `${m.title}, ${m.unit}` : m.title);
  const label = (row) => plain(row.source);
  // Break titles into lines, as plots are narrow and do not break them.
  const lines = (text) => text.split(' ').reduce((all, word) => {
    const last = all[all.length - 1];
    return last !== undefined && last.length + word.length < 41 ? [...all.slice(0, -1), `${last} ${word}`] : [...all, word];
  }, []).map(plain).join('<br>');
  const pageOf = (row) => (pages.has(row.participant_id) ? `${encodeURIComponent(row.participant_id)}.html#${encodeURIComponent(row.source)}` : null);

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return { ink: get('--ink'), line: get('--line'), point: get('--link'), bad: get('--bad'), odd: get('--odd') };
  }

  function layout(extra) {
    const c = colours();
    const axis = { color: c.ink, gridcolor: c.line, zerolinecolor: c.line, automargin: true };
    return {
      paper_bgcolor: 'transparent', plot_bgcolor: 'transparent', font: { color: c.ink, size: 12 },
      margin: { l: 50, r: 15, t: 40, b: 40 }, hovermode: 'closest', showlegend: false, ...extra,
      xaxis: { ...axis, ...(extra.xaxis || {}) }, yaxis: { ...axis, ...(extra.yaxis || {}) },
    };
  }

  function draw(place, traces, shape, rows) {
    Plotly.react(place, traces, layout(shape), { displaylogo: false, responsive: true, displayModeBar: false });
    if (place.dataset.linked) return;
    place.dataset.linked = 'yes';
    place.on('plotly_click', (event) => {
      const row = data.rows[event.points[0].customdata];
      const page = row && pageOf(row);
      if (page) window.location.href = page;
    });
  }

  const number = new Map(data.rows.map((row, index) => [row, index]));
  const limitsOf = (m) => [m.low, m.high].filter((limit) => limit !== null);

  const said = { usual: '', outlier: '<br>outlier', failed: '<br>out of its limits' };
  // Points side by side, the same each time.
  const jitter = (index) => ((index * 0.618034) % 1 - 0.5) * 0.5;

  // An outlier is more than 1.5 times the height of the box away from it, and by more than rounding.
  function boxOf(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const quantile = (part) => {
      const place = Math.min(Math.max(sorted.length * part - 0.5, 0), sorted.length - 1);
      const low = Math.floor(place);
      return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
    };
    const [first, middle, third] = [0.25, 0.5, 0.75].map(quantile);
    const reach = Math.max(1.5 * (third - first), 1e-4 * Math.abs(middle));
    const within = sorted.filter((value) => value >= first - reach && value <= third + reach);
    return { first, middle, third, low: within[0], high: within[within.length - 1] };
  }

  function kindOf(value, m, box) {
    if ((m.low !== null && value < m.low) || (m.high !== null && value > m.high)) return 'failed';
    return value < box.low || value > box.high ? 'outlier' : 'usual';
  }

  function drawBoxes() {
    const c = colours();
    for (const m of measures) {
      const id = `box-${m.name}`;
      let place = byId(id);
      if (!place) {
        place = document.createElement('div');
        place.id = id;
        place.className = 'plot';
        place.setAttribute('role', 'img');
        byId('boxes').append(place);
      }
      const rows = done.filter((row) => row[m.name] !== null);
      const values = rows.map((row) => row[m.name]);
      const box = boxOf(values);
      const kinds = values.map((value) => kindOf(value, m, box));
      const points = rows.map((row, index) => index).filter((index) => rows.length <= MANY || kinds[index] !== 'usual');
      const look = { usual: ['circle', c.point], outlier: ['diamond', c.odd], failed: ['x', c.bad] };
      const odd = rows.filter((row, index) => kinds[index] !== 'usual').map((row) => row.source);
      place.dataset.outliers = odd.length;
      const named = odd.length ? `; beyond limits or outliers: ${odd.slice(0, 10).join(', ')}${odd.length > 10 ? ' and more' : ''}` : '';
      place.setAttribute('aria-label', `Distribution of ${titleOf(m)}${named}`);
      draw(place, [{
        type: 'box', name: '', x: [0], q1: [box.first], median: [box.middle], q3: [box.third],
        lowerfence: [box.low], upperfence: [box.high], hoverinfo: 'skip', width: 0.6,
        line: { width: 1, color: c.ink }, fillcolor: 'transparent',
      }, {
        type: 'scatter', mode: 'markers', x: points.map(jitter), y: points.map((index) => values[index]),
        text: points.map((index) => label(rows[index]) + said[kinds[index]]),
        customdata: points.map((index) => number.get(rows[index])), hovertemplate: '%{text}<br>%{y:.4g}<extra></extra>',
        marker: {
          size: points.map((index) => (kinds[index] === 'usual' ? 5 : 8)), opacity: 0.85,
          symbol: points.map((index) => look[kinds[index]][0]), color: points.map((index) => look[kinds[index]][1]),
        },
      }], {
        title: { text: lines(titleOf(m)), font: { size: 12 } }, xaxis: { showticklabels: false, showgrid: false, zeroline: false, range: [-0.6, 0.6] },
        shapes: limitsOf(m).map((limit) => ({
          type: 'line', xref: 'paper', x0: 0, x1: 1, y0: limit, y1: limit, line: { dash: 'dash', width: 1.5, color: c.bad },
        })),
      });
    }
  }

  const columns = [...new Set(Object.values(data.participants).flatMap((person) => Object.keys(person)))];
  const personOf = (row) => data.participants[row.participant_id] || {};
  const axes = [
    ...columns.map((name) => ({ key: `p:${name}`, title: name, value: (row) => personOf(row)[name] ?? null })),
    ...measures.map((m) => ({ key: `m:${m.name}`, title: titleOf(m), value: (row) => row[m.name] })),
  ];
  const axisOf = (select) => axes.find((axis) => axis.key === select.value);

  // A column of numbers only is numeric, any other is categorical.
  function valuesOf(axis, rows) {
    const raw = rows.map(axis.value);
    const numeric = raw.every((value) => value === null || (String(value).trim() !== '' && Number.isFinite(Number(value))));
    return { numeric, values: raw.map((v) => (v === null ? null : numeric ? Number(v) : plain(v))) };
  }

  function drawScatter() {
    const up = axisOf(byId('up'));
    const right = axisOf(byId('right'));
    const rows = done.filter((row) => up.value(row) !== null && right.value(row) !== null);
    const x = valuesOf(right, rows);
    const y = valuesOf(up, rows);
    draw(byId('scatter'), [{
      type: 'scatter', mode: 'markers', x: x.values, y: y.values, text: rows.map(label),
      customdata: rows.map((row) => number.get(row)), hovertemplate: '%{text}<br>%{x}, %{y:.4g}<extra></extra>',
      marker: { size: rows.length > MANY ? 4 : 8, color: colours().point, opacity: 0.7 },
    }], {
      xaxis: { title: { text: plain(right.title) }, type: x.numeric ? 'linear' : 'category' },
      yaxis: { title: { text: plain(up.title) }, type: y.numeric ? 'linear' : 'category' },
    });
    byId('scatter').dataset.points = rows.length;
    byId('scatter').setAttribute('aria-label', `${up.title} against ${right.title}, ${rows.length} points`);
  }

  function drawLines() {
    const up = axisOf(byId('up'));
    const people = Map.groupBy ? Map.groupBy(done, (row) => row.participant_id) : group(done);
    const x = [];
    const y = [];
    const texts = [];
    const custom = [];
    let count = 0;
    for (const rows of people.values()) {
      const seen = rows.filter((row) => row.session_id && up.value(row) !== null);
      if (new Set(seen.map((row) => row.session_id)).size < 2) continue;
      count += 1;
      for (const row of seen) {
        x.push(plain(row.session_id)); y.push(up.value(row)); texts.push(label(row)); custom.push(number.get(row));
      }
      x.push(null); y.push(null); texts.push(''); custom.push(null); // the line ends here
    }
    byId('no-sessions').hidden = count > 0;
    byId('lines').hidden = count === 0;
    if (!count) return;
    const order = [...new Set(x.filter((value) => value !== null))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    draw(byId('lines'), [{
      type: 'scatter', mode: 'lines+markers', x, y, text: texts, customdata: custom, connectgaps: false,
      hovertemplate: '%{text}<br>%{y:.4g}<extra></extra>', line: { width: 1.5, color: colours().point }, marker: { size: 7 },
    }], {
      xaxis: { type: 'category', categoryorder: 'array', categoryarray: order }, yaxis: { title: { text: plain(up.title) } },
    });
  }

  function group(rows) {
    const found = new Map();
    for (const row of rows) found.set(row.participant_id, [...(found.get(row.participant_id) || []), row]);
    return found;
  }

  function fill(select, preferred) {
    for (const axis of axes) {
      const option = document.createElement('option');
      option.value = axis.key;
      option.textContent = axis.title;
      select.append(option);
    }
    const found = preferred.find((key) => axes.some((axis) => axis.key === key));
    if (found) select.value = found;
  }

  // The table.
  const shown = [
    { name: 'source', title: 'scan' }, { name: 'problems', title: 'problems' },
    ...measures.map((m) => ({ name: m.name, title: titleOf(m), numeric: true })),
    { name: 'device', title: 'device' },
    ...columns.map((name) => ({ name, title: name, person: true })),
  ];
  const state = { column: shown[0], rising: true, page: 0 };
  const cell = (row, column) => (column.person ? personOf(row)[column.name] ?? null : row[column.name]);
  const format = (value, column) => {
    if (value === null || value === '') return 'n/a';
    return column.numeric ? value.toLocaleString('en', { maximumSignificantDigits: 5 }) : String(value);
  };

  function compare(a, b) {
    const [x, y] = [cell(a, state.column), cell(b, state.column)];
    const [noX, noY] = [x === null || x === '', y === null || y === ''];
    if (noX || noY) return noX - noY; // missing values are last in both directions
    const order = typeof x === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true });
    return state.rising ? order : -order;
  }

  function fillTable() {
    const wanted = byId('filter').value.toLowerCase();
    const rows = data.rows.filter((row) => !wanted || shown.some((column) => String(cell(row, column) ?? '').toLowerCase().includes(wanted)));
    rows.sort(compare);
    const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    const part = rows.slice(state.page * PAGE, (state.page + 1) * PAGE);
    byId('body').replaceChildren(...part.map((row) => {
      const line = document.createElement('tr');
      line.append(...shown.map((column) => {
        const isName = column.name === 'source' && !column.person;
        const td = document.createElement(isName ? 'th' : 'td');
        if (isName) td.scope = 'row';
        const text = format(cell(row, column), column);
        const page = isName && pageOf(row);
        if (page) {
          const link = document.createElement('a');
          link.href = page;
          link.textContent = text;
          td.append(link);
        } else {
          td.textContent = text;
        }
        if (column.name === 'problems' && !column.person) td.className = text === 'none' ? 'good' : 'warning';
        return td;
      }));
      return line;
    }));
    const first = rows.length ? state.page * PAGE + 1 : 0;
    byId('shown').textContent = `${first} to ${state.page * PAGE + part.length} of ${rows.length}`;
    byId('back').disabled = state.page === 0;
    byId('next').disabled = state.page === last;
  }

  for (const column of shown) {
    const th = document.createElement('th');
    th.scope = 'col';
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = column.title;
    button.addEventListener('click', () => {
      state.rising = state.column === column ? !state.rising : true;
      state.column = column;
      state.page = 0;
      for (const other of byId('columns').children) other.removeAttribute('aria-sort');
      th.setAttribute('aria-sort', state.rising ? 'ascending' : 'descending');
      fillTable();
    });
    th.append(button);
    byId('columns').append(th);
    if (column === state.column) th.setAttribute('aria-sort', 'ascending');
  }
  byId('filter').addEventListener('input', () => { state.page = 0; fillTable(); });
  byId('back').addEventListener('click', () => { state.page -= 1; fillTable(); });
  byId('next').addEventListener('click', () => { state.page += 1; fillTable(); });
  fillTable();

  fill(byId('up'), ['m:lesion_volume_mm3', 'm:change_volume_mm3']);
  fill(byId('right'), ['p:age', ...columns.map((name) => `p:${name}`), 'm:brain_volume_std_ml', 'm:seconds']);
  function drawAll() { drawBoxes(); if (axes.length) { drawScatter(); drawLines(); } }
  drawAll();
  byId('up').addEventListener('change', () => { drawScatter(); drawLines(); });
  byId('right').addEventListener('change', drawScatter);
  // Print on white.
  for (const query of ['(prefers-color-scheme: dark)', 'print']) window.matchMedia(query).addEventListener('change', drawAll);
  document.documentElement.dataset.ready = 'yes';
})();
