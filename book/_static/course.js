// What is wider than its box can be scrolled with the keyboard: it gets a place in the order of Tab.
(() => {
  const BOXES =
    "pre, .cell_output, .pst-scrollable-table-container, div.math, span.math, mjx-container";
  const look = (box) => {
    const scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (scrolls && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else if (box.tabIndex === 0) box.removeAttribute("tabindex");
  };
  const lookAtAll = () => document.querySelectorAll(`.bd-article :is(${BOXES})`).forEach(look);
  document.addEventListener("DOMContentLoaded", () => {
    const sizes = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
    document.querySelectorAll(`.bd-article :is(${BOXES})`).forEach((box) => sizes.observe(box));
  });
  addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(lookAtAll));
})();
