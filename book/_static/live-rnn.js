// Chapter 3's network in the page: type, and watch its prediction and its state.
// The page asks for this file and for live-rnn-weights.js when the reader presses the button.
(() => {
  "use strict";

  // ---- the network -----------------------------------------------------------------------------

  // A number of 16 bits: sign, 5 bits of exponent, 10 of fraction.
  const half = (bits) => {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  };

  const decode = ({ shape: [rows, columns = 1], float16 }) => {
    const bytes = Uint8Array.from(atob(float16), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: rows }, (_, r) => Float64Array.from({ length: columns },
      (_, c) => half(view.getUint16(2 * (r * columns + c), true))));
  };

  const { symbols, weights } = window.liveRnnWeights;
  const part = (name) => decode(weights[name]);
  const E = part("embed.weight"), W_xh = part("rnn.weight_ih_l0"), W_hh = part("rnn.weight_hh_l0");
  const W_hy = part("out.weight"), b_y = part("out.bias").map(([b]) => b);
  const b_ih = part("rnn.bias_ih_l0"), b_hh = part("rnn.bias_hh_l0");
  const b_h = b_ih.map(([b], i) => b + b_hh[i][0]);

  // cell: these lines stand in the notebook
  const dot = (w, x) => w.reduce((sum, w_j, j) => sum + w_j * x[j], 0);
  const step = (x, h) => b_h.map((b, i) => Math.tanh(dot(W_xh[i], x) + dot(W_hh[i], h) + b));
  const scores = (h) => b_y.map((b, o) => dot(W_hy[o], h) + b);
  // end of cell

  const softmax = (y, temperature = 1) => {
    const top = Math.max(...y), p = y.map((v) => Math.exp((v - top) / temperature));
    const sum = p.reduce((a, b) => a + b);
    return p.map((v) => v / sum);
  };

  const ids = new Map(symbols.map((symbol, id) => [symbol, id]));
  const read = (char, h) => step(E[ids.get(char) ?? 0], h);
  const empty = () => b_h.map(() => 0);

  window.liveRnn = { symbols, empty, read, scores, softmax };

  // ---- what the reader sees ------------------------------------------------------------------------

  const SHOWN = 8, LONGEST = 600;
  const NAMES = { " ": "space", "\n": "new line", "<unk>": "unknown" };
  const named = (symbol) => NAMES[symbol] ?? symbol;
  const percent = (p) => (p < 0.01 ? "below 1 %" : `${Math.round(100 * p)} %`);

  const STYLE = `
    .live-rnn { margin: 1.5rem 0; max-width: 44rem; }
    .live-rnn * { box-sizing: border-box; }
    .live-rnn-box { border: 1px solid currentColor; border-radius: .6rem; padding: .8rem; }
    .live-rnn label { display: block; font-weight: 600; margin-bottom: .2rem; }
    .live-rnn textarea { background: transparent; border: 1px solid currentColor; border-radius: .4rem;
      color: inherit; font: 1rem/1.5 ui-monospace, Menlo, Consolas, monospace; padding: .5rem;
      resize: vertical; width: 100%; }
    .live-rnn button { background: none; border: 1px solid currentColor; border-radius: .4rem; color: inherit;
      font: inherit; margin: .4rem .4rem .4rem 0; min-height: 2.75rem; padding: 0 .8rem; }
    .live-rnn input[type=range] { min-height: 2.75rem; vertical-align: middle; width: 100%; max-width: 16rem; }
    .live-rnn table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .2rem 0 .8rem;
      width: 100%; table-layout: fixed; }
    .live-rnn :is(th, td) { border: 0; font-weight: 400; padding: .1rem .3rem; text-align: left; background: none; }
    .live-rnn thead th { font-weight: 600; }
    .live-rnn th:first-child { width: 6rem; }
    .live-rnn th:nth-child(2) { width: 6.5rem; }
    .live-rnn-bar { background: var(--course-blue, #0072b2); border-radius: 2px; display: block; height: .9rem; }
    .live-rnn svg { display: block; height: auto; max-width: 26rem; width: 100%; }
    .live-rnn figcaption { font: inherit; text-align: left; }`;

  const PARTS = `
    <div class="live-rnn-box">
    <label for="live-rnn-text">Type, and watch</label>
    <textarea id="live-rnn-text" rows="3" maxlength="${LONGEST}" autocapitalize="off" autocomplete="off"
      spellcheck="false">The statement</textarea>
    <div>
    <button type="button" data-count="1">Write one character</button>
    <button type="button" data-count="40">Write 40</button>
    <button type="button" data-count="0">Clear</button>
    </div>
    <label for="live-rnn-heat">Temperature <output for="live-rnn-heat">0.7</output></label>
    <input type="range" id="live-rnn-heat" min="0.1" max="1.5" step="0.1" value="0.7">
    <table style="width:100%"><caption style="caption-side:top;color:inherit;font-weight:600;padding:.4rem 0 0;text-align:left">
      What comes next</caption>
    <thead><tr><th scope="col">character</th><th scope="col">probability</th><td></td></tr></thead>
    <tbody></tbody></table>
    <div style="font-weight:600">The state, 256 numbers from −1 to 1</div>
    <svg viewBox="0 0 320 80" role="img"></svg>
    <figcaption>Each square is a unit of the state: the larger the square, the farther its value is from zero; orange
    and filled is positive, blue and hollow negative.
    <span class="live-rnn-moved"></span></figcaption>
    <div role="status" aria-live="polite" class="live-rnn-said"
      style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"></div>
    </div>`;

  const build = (figure) => {
    const style = document.createElement("style");
    style.textContent = STYLE;
    figure.innerHTML = PARTS;
    figure.prepend(style);
    const find = (selector) => figure.querySelector(selector);
    const [box, heat, shown, body, svg] =
      ["textarea", "input", "output", "tbody", "svg"].map(find);

    for (let row = 0; row < SHOWN; row++)
      body.insertAdjacentHTML("beforeend",
        '<tr><th scope="row"></th><td></td><td><span class="live-rnn-bar"></span></td></tr>');
    const squares = empty().map((_, i) => {
      const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      svg.append(square);
      return square;
    });

    // One state per character read; only what is new is read.
    let text = [], states = [empty()];
    const follow = () => {
      const now = Array.from(box.value);
      let same = 0;
      while (same < now.length && now[same] === text[same]) same++;
      states.length = same + 1;
      for (const char of now.slice(same)) states.push(read(char, states.at(-1)));
      text = now;
    };

    let waiting;
    const show = () => {
      follow();
      const h = states.at(-1), before = states.at(-2) ?? h, p = softmax(scores(h));
      const best = p.map((v, id) => [v, id]).sort((a, b) => b[0] - a[0]).slice(0, SHOWN);
      best.forEach(([v, id], row) => {
        const [name, value, bar] = body.rows[row].cells;
        name.textContent = named(symbols[id]);
        value.textContent = percent(v);
        bar.firstChild.style.width = `${100 * v}%`;
      });
      squares.forEach((square, i) => {
        const size = 1 + 7.5 * Math.abs(h[i]), [x, y] = [i % 32, Math.floor(i / 32)];
        const color = h[i] > 0 ? "var(--course-orange, #b35900)" : "var(--course-blue, #0072b2)";
        const place = { x: 10 * x + 5 - size / 2, y: 10 * y + 5 - size / 2, width: size, height: size };
        for (const [key, value] of Object.entries(place)) square.setAttribute(key, value.toFixed(2));
        square.style.fill = h[i] > 0 ? color : "none";
        square.style.stroke = color;
      });
      const flips = h.filter((v, i) => v * before[i] < 0).length;
      const moved = text.length
        ? `At the last character, ${flips} of 256 units changed sign.` : "The empty state: all zeros.";
      find(".live-rnn-moved").textContent = moved;
      svg.setAttribute("aria-label", `The state after ${text.length} characters. ${moved}`);
      clearTimeout(waiting); // speak when the typing pauses
      waiting = setTimeout(() => {
        const three = best.slice(0, 3).map(([v, id]) => `${named(symbols[id])} ${percent(v)}`);
        find(".live-rnn-said").textContent = `Next: ${three.join(", ")}.`;
      }, 600);
    };

    const draw = () => {
      let left = Math.random();
      const p = softmax(scores(states.at(-1)), +heat.value);
      p[0] = 0; // it does not write what it cannot spell
      left *= p.reduce((a, b) => a + b);
      return symbols[p.findIndex((v) => (left -= v) < 0)] ?? " ";
    };

    box.addEventListener("input", show);
    heat.addEventListener("input", () => (shown.value = (+heat.value).toFixed(1)));
    for (const button of figure.querySelectorAll("button"))
      button.addEventListener("click", () => {
        const count = +button.dataset.count;
        if (!count) box.value = "";
        for (let n = 0; n < count && text.length < LONGEST; n++) {
          box.value += draw();
          follow();
        }
        show();
        box.scrollTop = box.scrollHeight;
      });
    show();
    box.focus();
  };

  document.querySelectorAll("figure.live-rnn").forEach(build);
})();
