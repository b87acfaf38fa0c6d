// A picture as a card to post: with its headline, its seed and the site, wide or square, in the page's own colours.

const SHAPES = { wide: [1200, 630], square: [1080, 1080] };

/** The colours and letters of the page, light or dark. */
function styleOf(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(name).trim();
  const colours = Object.fromEntries(["page", "mat", "edge", "ink", "soft"].map((name) => [name, read(`--${name}`)]));
  return { ...colours, accent: read("--accent-text"), serif: read("--serif"), sans: read("--sans") };
}

/** A text's lines within a width. */
function wrapped(context, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** The largest size at which a headline fits a box, and its lines there. */
function fitted(context, text, { width, height, size, font }) {
  for (; ; size -= 4) {
    context.font = font(size);
    const lines = wrapped(context, text, width);
    const fits = lines.length * size * 1.08 <= height && lines.every((line) => context.measureText(line).width <= width);
    if (fits || size <= 20) return { size, lines };
  }
}

/** A line within a width, its end cut where it is longer. */
function cut(context, text, width) {
  let shown = text;
  while (shown.length > 1 && context.measureText(shown).width > width) shown = `${shown.slice(0, -2).trimEnd()}…`;
  return shown;
}

/** Draws a picture into a mat of a square box. */
function hang(context, source, { x, y, side, style }) {
  const [width, height] = [source.naturalWidth ?? source.width, source.naturalHeight ?? source.height];
  const margin = Math.round(side * 0.05);
  const inner = side - 2 * margin;
  const scale = inner / Math.max(width, height);
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  const [left, top] = [x + Math.round((side - w) / 2), y + Math.round((side - h) / 2)];
  context.fillStyle = style.mat;
  context.fillRect(left - margin, top - margin, w + 2 * margin, h + 2 * margin);
  context.strokeStyle = style.edge;
  context.lineWidth = 2;
  context.strokeRect(left - margin, top - margin, w + 2 * margin, h + 2 * margin);
  context.imageSmoothingEnabled = Math.max(width, height) >= 128;
  context.imageSmoothingQuality = "high";
  context.drawImage(source, left, top, w, h);
}

/** A heading's words that have the accent's colour. */
function accented(heading) {
  const accents = [...heading.querySelectorAll("em")].flatMap((em) => em.textContent.split(/\s+/));
  return new Set(accents.filter(Boolean));
}

/** Writes lines whose words have colours, from a side that the text's direction begins at. */
function write(context, lines, { x, y, size, width, accents, style, dir }) {
  lines.forEach((line, i) => {
    let at = dir === "rtl" ? x + width : x;
    for (const word of line.split(" ")) {
      const step = context.measureText(`${word} `).width;
      context.fillStyle = accents.has(word) ? style.accent : style.ink;
      context.fillText(word, at, y + i * size * 1.08);
      at += dir === "rtl" ? -step : step;
    }
  });
}

/**
 * A card of a picture.
 *
 * @param source its image or canvas
 * @param {{heading: HTMLElement, facts: string, site: string, address: string}} words
 * @param {"wide" | "square"} shape
 */
export function cardOf(source, { heading, facts, site, address }, shape) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = SHAPES[shape];
  const context = canvas.getContext("2d");
  const style = styleOf(document.body);
  const isWide = shape === "wide";
  const dir = getComputedStyle(heading).direction;
  context.fillStyle = style.page;
  context.fillRect(0, 0, canvas.width, canvas.height);
  hang(context, source, isWide ? { x: 40, y: 40, side: 550, style } : { x: 165, y: 40, side: 750, style });
  const box = isWide ? { x: 640, y: 60, width: 510, height: 340, size: 84 } : { x: 165, y: 815, width: 750, height: 130, size: 60 };
  const font = (size) => `${size}px ${style.serif}`;
  const { size, lines } = fitted(context, heading.textContent.trim().replace(/\s+/g, " "), { ...box, font });
  context.textBaseline = "top";
  context.direction = dir;
  context.textAlign = "start";
  write(context, lines, { ...box, size, accents: accented(heading), style, dir });
  context.direction = "ltr";
  const foot = canvas.height - (isWide ? 60 : 50);
  context.textBaseline = "alphabetic";
  const small = [[facts, style.soft, 26], [site, style.ink, 30], [address, style.soft, 22]];
  small.reverse().reduce((y, [text, colour, height]) => {
    context.font = `${height}px ${style.sans}`;
    context.fillStyle = colour;
    context.fillText(cut(context, text, box.width), box.x, y);
    return y - height * 1.5;
  }, foot);
  return canvas;
}
