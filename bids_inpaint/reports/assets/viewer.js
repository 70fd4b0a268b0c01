'use strict';
(() => {
  // Browsers do not let pages on a disk read files: there, the viewer stays away.
  const SCRIPT = '_viewer/niivue.umd.js';
  const note = (text) => { for (const place of document.querySelectorAll('.no-viewer')) place.textContent = text; };
  const HINT = 'To look at the volumes here, and move through them, open this page with: bids_inpaint_view FOLDER';
  if (!window.location.protocol.startsWith('http')) { note(HINT); return; }

  const OPTIONS = {
    before: { colormap: 'gray', opacity: 1, cal_min: 0, cal_max: 1.8 },
    after: { colormap: 'gray', opacity: 1, cal_min: 0, cal_max: 1.8 },
    difference: { colormap: 'warm', colormapNegative: 'winter', opacity: 0, cal_min: 0.02, cal_max: 0.6 },
    mask: { colormap: 'red', opacity: 0, cal_min: 0.5, cal_max: 1 },
  };
  const SHOWN = { difference: 0.8, mask: 0.6 };

  async function show(box) {
    const find = (selector) => box.querySelector(selector);
    const parts = Object.keys(OPTIONS).filter((part) => box.dataset[part]);
    const canvas = find('canvas');
    find('[data-action=load]').hidden = true;
    find('.screen').hidden = false;
    const viewer = new niivue.Niivue({
      show3Dcrosshair: false, isResizeCanvas: true, dragAndDropEnabled: false, crosshairWidth: 0.5, backColor: [0, 0, 0, 1],
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarLayout: niivue.MULTIPLANAR_TYPE.ROW,
    });
    viewer.onLocationChange = (place) => {
      find('.place').textContent = `x, y, z: ${Array.from(place.mm).slice(0, 3).map((value) => value.toFixed(0)).join(', ')} mm`;
    };
    await viewer.attachToCanvas(canvas);
    const scaled = Boolean(box.dataset.before); // else the units are the scanner's
    await viewer.loadVolumes(parts.map((part) => {
      const { cal_min: low, cal_max: high, ...look } = OPTIONS[part];
      const range = part === 'after' && !scaled ? {} : { cal_min: low, cal_max: high };
      return { url: box.dataset[part], ...look, ...range };
    }));
    viewer.setSliceType(viewer.sliceTypeMultiplanar);
    const set = (part, opacity) => viewer.setOpacity(parts.indexOf(part), opacity);
    const button = find('[data-action=switch]');
    if (button) {
      const turn = () => {
        const after = button.textContent === 'before';
        button.textContent = after ? 'after' : 'before';
        set('after', after ? 1 : 0);
      };
      button.hidden = false;
      button.addEventListener('click', turn);
      canvas.addEventListener('keydown', (event) => {
        if (event.key.toLowerCase() === 'b') { event.stopImmediatePropagation(); turn(); }
      }, true);
    }
    for (const input of box.querySelectorAll('input')) {
      const part = input.dataset.action;
      input.disabled = !parts.includes(part);
      input.addEventListener('change', () => set(part, input.checked ? SHOWN[part] : 0));
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
    // Browsers keep few drawings of this kind at a time: only that of the first scan is begun.
    const first = document.querySelector('.viewer:not([hidden]) [data-action=load]');
    if (first) first.click();
  });
  // Only once the figures are there: to read and draw volumes keeps a browser busy.
  window.addEventListener('load', () => document.head.append(script));
})();
