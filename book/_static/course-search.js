// The search of the course: ranks passages (sections, entries of the glossary, objects of the
// package) for a question in a reader's words. search-passages.js brings the texts.
const courseSearch = (() => {
  // Words of questions that say nothing about the subject.
  const ASKED = new Set(("a about am an and any are as at be been being between but by can could " +
    "difference do does doing done explain for from get got had has have how i if in into is it its " +
    "like mean meaning mine my need needs not of on or our out please s should so some t tell than that the their them " +
    "then there these they this to use used using very was we were what whats when where which " +
    "who why will with would you your work works want happen happens definition define").split(" "));
  // What readers say, and what the pages say; a match of the second counts less.
  const ALIASES = {
    assignment: "problem set", bptt: "backpropagation through time", chatgpt: "language model transformer",
    convolutional: "cnn", cnn: "convolutional network", cuda: "gpu", diverge: "exploding nan",
    exam: "problem set", faster: "fast", gpt: "language model transformer", homework: "problem set", lecture: "instructor",
    llm: "language model transformer", professor: "instructor", rnn: "recurrent network", sequence2sequence: "encoder decoder",
    seq2seq: "encoder decoder", slow: "fast", speed: "fast time", stock: "forecasting price", syllabus: "instructor",
    teacher: "instructor", teach: "instructor", translate: "translation", translator: "translation", variable: "unequal",
    varying: "unequal", different: "unequal", weather: "forecasting", word2vec: "embedding",
    handwriting: "digits drawing", initialization: "start identity orthogonal", initialize: "start identity", invented: "history", inventor: "history", invent: "history", multiple: "several machine processes", prerequisite: "know assume", prerequisites: "know assume", stateful: "carried state", parallelize: "parallel", summarise: "summarizing", summarization: "summarizing", crash: "error", oom: "memory",
  };
  const PHRASES = [["out of memory", "memory grow"], ["neural network", "network"], ["how long", "duration long"]];
  // How much a field counts, and how much a kind of passage.
  const FIELD = { heading: 3.5, page: 1.5, text: 1, code: 0.25 };
  const [SATURATION, LENGTH] = [1.2, 0.5]; // BM25's k1 and b

  let passages = [], stemmer, known = new Map(), stop = ASKED;
  const stems = new Map();

  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const stem = (word) => {
    if (!stems.has(word)) stems.set(word, /^[a-z]+$/.test(word) ? stemmer.stemWord(word) : word);
    return stems.get(word);
  };
  const words = (text) => plain(text).match(/[\p{L}\p{N}_]+/gu) ?? [];
  const tokens = (text) =>
    words(text).flatMap((word) =>
      word.length > 1 && word.includes("_")
        ? [word, ...word.split("_").filter((part) => part.length > 1).map(stem)]
        : [stem(word)]
    );

  const kindOf = (page) => {
    if (page.endsWith("/glossary")) return "term";
    if (page.endsWith("/troubleshooting")) return "trouble";
    if (page.includes("problem-sets/")) return "set";
    if (/\/(api|package)\b/.test(page)) return "object";
    if (/^notebooks\/\d/.test(page)) return "chapter";
    return "page";
  };
  const ASIDE = /^(exercises|check yourself|problem set|further reading|an assignment|what to try next)$/i;

  const load = ({ stopwords, pages }, newStemmer) => {
    stemmer = newStemmer;
    stop = new Set([...ASKED, ...stopwords.map(plain)]);
    for (const [page, title, found] of pages)
      for (const [anchor, heading, text, code] of found) {
        const kind = kindOf(page);
        const fields = { heading: tokens(heading || title), page: tokens(`${title} ${page.split("/").pop().replaceAll("-", " ")}`), text: tokens(text), code: tokens(code) };
        const counts = new Map();
        for (const [field, list] of Object.entries(fields)) {
          const weight = FIELD[field];
          for (const token of list) counts.set(token, (counts.get(token) ?? 0) + weight);
        }
        for (const token of counts.keys()) known.set(token, (known.get(token) ?? 0) + 1);
        const aside = ASIDE.test(heading) ? 0.45 : 1;
        const names = (heading || title).split(" · ").map(tokens); // an entry of the glossary has several
        passages.push({ page, title, anchor, heading, text, kind, counts, fields, aside, names });
      }
    const total = passages.reduce((sum, one) => sum + one.fields.text.length, 0);
    for (const one of passages)
      one.norm = SATURATION * (1 - LENGTH + (LENGTH * one.fields.text.length * passages.length) / total);
    show();
  };

  const rarity = (token) => {
    const count = known.get(token) ?? 0;
    return Math.log(1 + (passages.length - count + 0.5) / (count + 0.5));
  };

  // Edits that turn one word into the other, counted up to two.
  const near = (a, b) => {
    if (Math.abs(a.length - b.length) > 2) return false;
    let row = [...Array(b.length + 1).keys()], before = [];
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) {
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1]));
        if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
          next[j] = Math.min(next[j], before[j - 2] + 1);
      }
      [before, row] = [row, next];
    }
    return row[b.length] <= (a.length > 6 ? 2 : 1);
  };

  // A question becomes a list of meanings; each is a list of [token, weight].
  const parse = (query) => {
    const said = PHRASES.reduce((text, [from, to]) => text.replace(from, to), plain(query));
    const list = (said.match(/[\p{L}\p{N}_-]+/gu) ?? []).flatMap((word) => {
      const parts = word.split("-").filter(Boolean);
      const joined = parts.join(""); // bi-directional, as against n-gram
      return parts.every((part) => known.has(stem(part))) || !known.has(stem(joined)) ? parts : [joined];
    });
    const subject = list.filter((word) => !stop.has(word));
    return (subject.length ? subject : list).map((word) => {
      const token = word.includes("_") ? word : stem(word);
      const meaning = [[token, 1]];
      for (const alias of words(ALIASES[word] ?? "")) meaning.push([stem(alias), 0.4]);
      if (!known.has(token)) {
        for (const part of word.includes("_") ? word.split("_") : []) if (part.length > 1) meaning.push([stem(part), 0.6]);
        if (token.length > 3)
          for (const other of known.keys())
            if (other.startsWith(token) || (other.length > 3 && other[0] === token[0] && near(token, other)))
              meaning.push([other, 0.6]);
            else if (other.length > 4 && (token.startsWith(other) || token.endsWith(other))) meaning.push([other, 0.4]);
      }
      return meaning;
    });
  };

  const adjacent = (list, first, second) => {
    for (let i = list.indexOf(first); i >= 0; i = list.indexOf(first, i + 1)) if (list[i + 1] === second) return true;
    return false;
  };

  const score = (one, meanings, query) => {
    let sum = 0, covered = 0, all = 0;
    for (const meaning of meanings) {
      const most = Math.max(...meaning.map(([token, weight]) => (known.has(token) ? rarity(token) * weight : 0)), 0.5);
      const share = Math.min(most, 3.5); // a rare word must not stand for the whole question
      let best = 0;
      for (const [token, weight] of meaning) {
        const count = one.counts.get(token);
        if (count) best = Math.max(best, weight * rarity(token) * ((count * (SATURATION + 1)) / (count + one.norm)));
      }
      all += share;
      if (best) covered += share;
      sum += best;
    }
    if (!sum) return 0;
    for (let i = 0; i + 1 < meanings.length; i++) {
      const [first, second] = [meanings[i][0][0], meanings[i + 1][0][0]];
      if (!one.counts.has(first) || !one.counts.has(second)) continue;
      if (adjacent(one.fields.heading, first, second)) sum += 0.6 * (rarity(first) + rarity(second));
      else if (adjacent(one.fields.text, first, second)) sum += 0.3 * (rarity(first) + rarity(second));
    }
    const asked = new Set(meanings.map((meaning) => meaning[0][0]));
    const likeness = Math.max(...one.names.map((name) => {
      const heading = new Set(name.filter((token) => !query.filler.has(token)));
      const common = [...asked].filter((token) => heading.has(token)).length;
      const likeness = common / (asked.size + heading.size - common || 1);
      return one.kind === "term" && common && common === heading.size ? Math.max(0.7, likeness) : likeness;
    }));
    const kinds = {
      term: query.defines ? 1.3 : 1,
      trouble: query.mine ? 1.7 : query.asks ? 1.35 : 1.15,
      set: 0.5,
      object: query.code ? 1 : 0.35,
      chapter: 1.15,
      page: 0.9,
    };
    return sum * (covered / all) ** 1.5 * one.aside * (1 + 0.8 * likeness) * kinds[one.kind];
  };

  const find = (text) => {
    const lower = plain(text).trim();
    const query = {
      defines: /^(what('s| is| are|s)?|define|definition|meaning|que es|o que e)\b/.test(lower) || words(lower).length <= 3,
      asks: /^(why|how|can|should|when|my|error|runtimeerror|valueerror)\b|\b(error|nan|wrong|fails?)\b/.test(lower),
      mine: /\b(my|error)\b/.test(lower),
      code: /[_.()]|[a-z][A-Z]/.test(text.replace(/[.?]\s*$/, "")),
      filler: new Set([...stop].map((word) => (/^[a-z]+$/.test(word) ? stem(word) : word))),
    };
    const meanings = parse(text);
    if (!meanings.length) return [];
    const pages = new Map();
    for (const one of passages) {
      const points = score(one, meanings, query);
      if (points > 0) {
        if (!pages.has(one.page)) pages.set(one.page, []);
        pages.get(one.page).push([points, one]);
      }
    }
    const results = [...pages.values()].map((list) => {
      list.sort((a, b) => b[0] - a[0]);
      const [first, second = [0], third = [0]] = list;
      const more = first[1].kind === "term" || first[1].kind === "trouble" ? 0 : 1; // lists of unrelated entries
      return { points: first[0] + more * (0.25 * second[0] + 0.15 * third[0]), list };
    });
    results.sort((a, b) => b.points - a.points);
    const least = results.length ? results[0].points / 12 : 0;
    return results.filter((one) => one.points >= least).slice(0, 12).map(({ points, list }) => ({
      points,
      sections: list.filter((one) => one[0] > list[0][0] / 3).slice(0, 3).map(([, one], i) => ({
        url: `${one.page}.html${one.anchor && "#" + one.anchor}`,
        title: one.title,
        heading: one.heading,
        excerpt: i ? [] : excerpt(one.text, meanings), // only the first is shown with one
      })),
    }));
  };

  // The stretch of the text that holds most of the question's words: [text, is it asked for] pairs.
  const excerpt = (text, meanings, length = 230) => {
    const wanted = new Map(meanings.flat().map(([token, weight]) => [token, weight * rarity(token)]));
    const pieces = text.split(/(?<=[.!?:…])\s+|\n/);
    const asked = pieces.map((piece) => tokens(piece).filter((token) => wanted.has(token)));
    let best = [0, 0];
    pieces.forEach((_, start) => {
      const seen = new Set();
      for (let i = start, size = 0; i < pieces.length && size < length / 2; size += pieces[i++].length)
        asked[i].forEach((token) => seen.add(token));
      const value = [...seen].reduce((sum, token) => sum + wanted.get(token), 0);
      if (value > best[0]) best = [value, start];
    });
    let part = pieces.slice(best[1]).join(" ");
    if (part.length > length) part = part.slice(0, part.lastIndexOf(" ", length)) + " …";
    if (best[1]) part = "… " + part;
    return part.split(/([\p{L}\p{N}\p{M}_]+)/u).map((word, i) => [word, i % 2 === 1 && tokens(word).some((token) => wanted.has(token))]);
  };

  const element = (name, children = [], properties = {}) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const link = (section) =>
    element("a", [section.heading && section.heading !== section.title ? `${section.title} › ${section.heading}` : section.title], { href: section.url });

  // Fill search.html.
  const show = () => {
    const list = document.getElementById("search-results");
    const text = new URLSearchParams(location.search).get("q")?.trim();
    if (!list || !text) return;
    document.querySelectorAll("input[name=q]").forEach((field) => (field.value = text));
    const status = document.getElementById("search-status");
    const results = find(text);
    status.textContent = results.length ? status.dataset.some.replace("{pages}", results.length) : status.dataset.none;
    for (const { sections: [first, ...more] } of results) {
      const marked = first.excerpt.map(([word, asked]) => (asked ? element("mark", [word]) : word));
      const entry = element("li", [link(first), element("p", marked)]);
      if (more.length) {
        const others = more.flatMap((section, i) => [i ? ", " : " ", element("a", [section.heading || section.title], { href: section.url })]);
        entry.append(element("p", [status.dataset.more, ...others], { className: "search-more" }));
      }
      list.append(entry);
    }
  };

  return { load, find };
})();
