'use strict';
(() => {
  // Pages on disk cannot read files: no viewer there.
  const SCRIPT = '_viewer/niivue.umd.js';
  const note = (text) => { for (const place of document.querySelectorAll('.no-viewer')) place.textContent = text; };
  const HINT = 'To look at the volumes here, and move through them, open this page with: bids_inpaint_view FOLDER';
  if (!window.location.protocol.startsWith('http')) { note(HINT); return; }

  const GREY = { colormap: 'gray', opacity: 1 };
  const OPTIONS = {
    before: GREY,
    after: GREY,
    difference: { colormap: 'warm', colormapNegative: 'winter', opacity: 0.8, cal_min: 0.02, cal_max: 0.6 },
    mask: { colormap: 'red', opacity: 0.6, cal_min: 0.5, cal_max: 1 },
    probability: { colormap: 'plasma', opacity: 0.7, cal_min: 0.05, cal_max: 1 },
  };
  const OVERLAYS = ['difference', 'probability', 'mask'];
  const STEPS = { // of the cross-hair, voxels to the right, front and top
    ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1], PageUp: [0, 1, 0], PageDown: [0, -1, 0],
  };
  const SCALED = { cal_min: 0, cal_max: 1.8 }; // units of the mean of the brain

  // A volume is read when it is first shown, and the viewer only gets visible volumes: it prepares
  // all of them again at each change, which takes seconds with software rendering.
  async function show(box) {
    const find = (selector) => box.querySelector(selector);
    const canvas = find('canvas');
    find('[data-action=load]').hidden = true;
    find('.screen').hidden = false;
    const viewer = new niivue.Niivue({
      show3Dcrosshair: false, isResizeCanvas: true, dragAndDropEnabled: false, crosshairWidth: 0.5, backColor: [0, 0, 0, 1],
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarLayout: niivue.MULTIPLANAR_TYPE.AUTO,
      sliceType: niivue.SLICE_TYPE.MULTIPLANAR,
    });
    viewer.onLocationChange = (place) => {
      find('.place').textContent = `x, y, z: ${Array.from(place.mm).slice(0, 3).map((value) => value.toFixed(0)).join(', ')} mm`;
    };
    await viewer.attachToCanvas(canvas);
    const read = new Map();
    const state = { base: 'after', difference: false, probability: false, mask: false };

    async function load(part) {
      const scaled = part in { before: 0, after: 0 } && box.dataset.scaled ? SCALED : {};
      const volume = await niivue.NVImage.loadFromUrl({ url: box.dataset[part], ...OPTIONS[part], ...scaled });
      const after = read.get('after');
      if (part === 'before' && after) { // the same greys for both
        volume.cal_min = after.cal_min;
        volume.cal_max = after.cal_max;
      }
      return volume;
    }

    async function draw() {
      const parts = [state.base, ...OVERLAYS.filter((part) => state[part])];
      for (const part of parts) {
        if (!read.has(part)) read.set(part, await load(part));
      }
      const volumes = parts.map((part) => read.get(part));
      viewer.volumes = volumes;
      viewer.setVolume(volumes[0], 0); // draws all of them, once
      box.dataset.shown = parts.join(' ');
    }

    // One change after another, as each waits for files; a failed one is reported and undone.
    let last = Promise.resolve();
    const change = (name, value, done) => {
      last = last.then(async () => {
        const earlier = state[name];
        state[name] = value;
        try {
          await draw();
          done();
        } catch (error) {
          state[name] = earlier;
          find('.place').textContent = `${name === 'base' ? value : name} could not be shown: ${error.message || error}`;
        }
      });
      return last;
    };

    // Scaled volumes are in template space, as the centres of lesions.
    const moveTo = (text) => {
      viewer.scene.crosshairPos = viewer.mm2frac(text.split(',').map(Number));
      viewer.drawScene();
      viewer.createOnLocationChange();
    };
    await draw();
    const places = box.dataset.scaled ? box.closest('section').querySelectorAll('td.centre') : [];
    if (places.length) moveTo(places[0].textContent);
    for (const cell of places) {
      const go = document.createElement('button');
      go.type = 'button';
      go.textContent = cell.textContent;
      go.title = 'show in the viewer';
      go.addEventListener('click', () => {
        moveTo(go.textContent);
        box.scrollIntoView({ block: 'center' });
        canvas.focus({ preventScroll: true });
      });
      cell.replaceChildren(go);
    }
    canvas.addEventListener('keydown', (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      viewer.moveCrosshairInVox(...step);
    }, true);
    const button = find('[data-action=switch]');
    if (button) {
      const turn = () => {
        const [shown, next] = [state.base, state.base === 'before' ? 'after' : 'before'];
        change('base', next, () => { button.textContent = `Show: ${shown}`; });
      };
      button.hidden = false;
      button.addEventListener('click', turn);
      canvas.addEventListener('keydown', (event) => {
        if (event.key.toLowerCase() === 'b') { event.stopImmediatePropagation(); turn(); }
      }, true);
    }
    for (const input of box.querySelectorAll('input')) {
      const part = input.dataset.action;
      input.disabled = !box.dataset[part];
      input.addEventListener('change', () => change(part, input.checked, () => {}));
    }
    box.dataset.ready = 'yes';
  }

  const script = document.createElement('script');
  script.src = SCRIPT;
  script.addEventListener('error', () => note(HINT));
  script.addEventListener('load', () => {
    for (const box of document.querySelectorAll('.viewer')) {
      if (!box.dataset.after) continue;
      box.hidden = false;
      const failed = (error) => { find(box).textContent = `The volume could not be shown: ${error.message || error}`; };
      const find = (place) => place.querySelector('.place');
      box.querySelector('[data-action=load]').addEventListener('click', () => show(box).catch(failed));
    }
    // Browsers keep few WebGL contexts: only that of the first scan is started.
    const first = document.querySelector('.viewer:not([hidden]) [data-action=load]');
    if (first) first.click();
  });
  // After the figures have loaded, as volumes keep a browser busy.
  window.addEventListener('load', () => document.head.append(script));
})();
