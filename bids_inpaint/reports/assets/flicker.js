'use strict';
(() => {
  // Figures that alternate under the pointer also change by a button (space bar or Enter).
  for (const button of document.querySelectorAll('button[data-flicker]')) {
    const figure = button.closest('figure').querySelector('object');
    const names = { before: button.dataset.before, after: button.dataset.after };
    let shown = 'after';
    const label = () => { button.textContent = `Show: ${names[shown === 'after' ? 'before' : 'after']}`; };
    label();
    button.hidden = false;
    button.addEventListener('click', () => {
      shown = shown === 'after' ? 'before' : 'after';
      figure.contentWindow.postMessage(shown, '*'); // pages on disk have no origin
      label();
      button.nextElementSibling.textContent = `shown: ${names[shown]}`;
    });
  }
  // Print tables whole.
  const closed = [];
  window.addEventListener('beforeprint', () => {
    for (const details of document.querySelectorAll('details:has(table):not([open])')) {
      details.open = true;
      closed.push(details);
    }
  });
  window.addEventListener('afterprint', () => { for (const details of closed.splice(0)) details.open = false; });
})();
