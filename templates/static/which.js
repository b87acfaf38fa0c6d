// The game "which one exists?": ten pairs a day, an original and a made picture side by side.

import { parseSeeds } from "./album.js";
import { askedDay, roundOfDay, said, shifted, today } from "./days.js";
import { keepOffline } from "./offline.js";
import { copy } from "./share.js";

const KEPT_DAYS = 400;
const [RIGHT, WRONG] = ["🟩", "⬜"];

const data = JSON.parse(document.getElementById("round").textContent);
const game = document.querySelector("[data-game]");
const root = new URL(game.dataset.root, document.baseURI);
const find = (selector) => game.querySelector(selector);
const choices = [...game.querySelectorAll("[data-choice]")];
const seeds = parseSeeds(data.seeds);
const day = askedDay();
const key = `metagan:which:${root.pathname}${data.slug}`;

/** Days that were played: the day, and an answer a pair, "1" if it was right. */
const played = read();
let pairs = [];
let answers = played[day] ?? "";

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([, answers]) => /^[01]{0,10}$/.test(answers)));
  } catch {
    return {}; // storage is switched off, or not ours
  }
}

function keep() {
  Object.assign(played, read(), { [day]: answers }); // another tab may have another day
  const days = Object.keys(played).sort().slice(-KEPT_DAYS);
  try {
    localStorage.setItem(key, JSON.stringify(Object.fromEntries(days.map((one) => [one, played[one]]))));
  } catch {
    // Then the round is kept as long as the page is open.
  }
}

// ---------------------------------------------------------------------------------------------
// Pictures

const realSrc = ({ real }) => new URL(`${data.folder}/${data.reals[real][0]}.${data.extension}`, root).href;
const madeSrc = ({ made }) => new URL(`pictures/${data.slug}/${seeds[made]}.${data.extension}`, root).href;
const pageOf = ({ made }) =>
  new URL(data.pages ? `${data.slug}/${seeds[made]}/` : `${data.slug}/?seed=${seeds[made]}`, root).href;

function picture(src, alt) {
  const image = new Image(data.width, data.height);
  image.alt = alt;
  image.src = src;
  image.addEventListener("error", () => (choices.some((one) => one.contains(image)) ? giveUp() : image.remove()));
  if (Math.max(data.width, data.height) < 128) image.className = "crisp";
  return image;
}

function framed(src, alt) {
  const mat = document.createElement("span");
  mat.className = "mat";
  mat.append(picture(src, alt));
  return mat;
}

function preload(pair) {
  for (const src of pair ? [realSrc(pair), madeSrc(pair)] : []) new Image().src = src;
}

// ---------------------------------------------------------------------------------------------
// A pair

const isOver = () => answers.length >= pairs.length;
let isAnswered = false;

function ask() {
  const pair = pairs[answers.length];
  isAnswered = false;
  const sources = pair.realIsLeft ? [realSrc(pair), madeSrc(pair)] : [madeSrc(pair), realSrc(pair)];
  choices.forEach((button, i) => {
    button.replaceChildren(framed(sources[i], ""));
    button.classList.remove("real", "made", "chosen");
    button.removeAttribute("aria-disabled");
  });
  for (const truth of game.querySelectorAll("[data-truth]")) truth.replaceChildren();
  find("[data-verdict]").textContent = "";
  find("[data-next]").hidden = true;
  find("[data-hint]").hidden = false;
  tellSquares();
  preload(pairs[answers.length + 1]);
}

/** A pair of which a picture doesn't come can't be answered; no other one may stand in for it. */
function giveUp() {
  isAnswered = true;
  for (const button of choices) {
    button.replaceChildren();
    button.setAttribute("aria-disabled", "true");
  }
  const line = find("[data-verdict]");
  line.textContent = line.dataset.broken;
  find("[data-hint]").hidden = true;
}

function answer(isLeft) {
  if (isAnswered || isOver()) return;
  isAnswered = true;
  const pair = pairs[answers.length];
  const isRight = isLeft === pair.realIsLeft;
  answers += isRight ? "1" : "0";
  keep();
  choices.forEach((button, i) => {
    const isReal = (i === 0) === pair.realIsLeft;
    button.classList.add(isReal ? "real" : "made");
    button.classList.toggle("chosen", (i === 0) === isLeft);
    button.setAttribute("aria-disabled", "true");
    button.nextElementSibling.replaceChildren(...truthOf(pair, isReal));
  });
  const name = pair.realIsLeft ? "left" : "right";
  find("[data-verdict]").textContent = isRight ? `Right: the ${name} one exists.` : `No: the ${name} one exists.`;
  tellSquares();
  find("[data-hint]").hidden = true;
  const next = find("[data-next]");
  next.firstChild.textContent = isOver() ? "Your score " : "Next pair ";
  next.hidden = false;
  next.focus({ preventScroll: true });
}

/** Where a picture comes from: an original's name, or a seed. */
function truthOf(pair, isReal) {
  const link = document.createElement("a");
  if (!isReal) {
    link.href = pageOf(pair);
    link.textContent = `seed ${seeds[pair.made]}`;
    return ["Made by a machine, ", link];
  }
  const [, name, page] = data.reals[pair.real];
  if (!page) return [`Exists: ${name}`];
  Object.assign(link, { href: page, rel: "noopener noreferrer nofollow", textContent: name });
  return ["Exists: ", link];
}

function tellSquares() {
  const words = (i) => ({ 1: "right", 0: "wrong" })[answers[i]] ?? (i === answers.length ? "now" : "to come");
  const squares = pairs.map((_, i) => {
    const square = document.createElement("li");
    square.className = `square ${words(i).replace(" ", "-")}`;
    square.textContent = `${i + 1}: ${words(i)}`;
    return square;
  });
  find("[data-squares]").replaceChildren(...squares);
}

// ---------------------------------------------------------------------------------------------
// The score

const rightOf = (marks) => [...marks].filter((mark) => mark === "1").length;
const strip = () => [...answers].map((mark) => (mark === "1" ? RIGHT : WRONG)).join("");

function address() {
  const url = new URL(`${data.slug}/which/`, root);
  url.searchParams.set("day", day);
  return url.href;
}

/** The share of guessers that get at least so many right. */
export function chanceOf(least, count) {
  let [ways, sum] = [1, 0];
  for (let right = 0; right <= count; right++) {
    if (right >= least) sum += ways;
    ways = (ways * (count - right)) / (right + 1);
  }
  return sum / 2 ** count;
}

function percent(share) {
  const value = 100 * share;
  return `${value < 1 ? value.toFixed(1) : Math.round(value)} %`;
}

const line = () => `Which ${data.title} exists? ${day} ${rightOf(answers)}/${pairs.length}\n${strip()}\n${address()}`;

function tellScore(isNew) {
  find("[data-board]").hidden = true;
  find("[data-score]").hidden = false;
  const [right, count] = [rightOf(answers), pairs.length];
  find("[data-score-title]").textContent = `${right} of ${count} right`;
  find("[data-score-title]").after(find("[data-squares]"));
  tellSquares();
  const guessed = `Who guesses gets ${count / 2} of ${count} on average`;
  find("[data-chance]").textContent = `${guessed}, and ${right} or more in ${percent(chanceOf(right, count))} of rounds.`;
  const days = Object.values(played).filter((marks) => marks.length);
  const [all, good] = [days.join("").length, rightOf(days.join(""))];
  const rounds = days.length > 1 ? `In ${days.length} rounds you were right in ${good} of ${all}: ${percent(good / all)}; guessing gives 50 %. ` : "";
  find("[data-total]").textContent = `${rounds}${day === today() ? "The next ten come at midnight UTC." : ""}`;
  const before = find("[data-yesterday]");
  before.href = `?day=${shifted(day, -1)}`;
  find("[data-recap]").replaceChildren(...pairs.map(recap));
  if (isNew) find("[data-score-title]").focus({ preventScroll: true });
}

function recap(pair, i) {
  const item = document.createElement("li");
  item.className = answers[i] === "1" ? "right" : "wrong";
  const figures = [true, false].map((isReal) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.append(...truthOf(pair, isReal));
    figure.append(framed(isReal ? realSrc(pair) : madeSrc(pair), ""), caption);
    return figure;
  });
  const mark = document.createElement("p");
  mark.className = "mark";
  mark.textContent = answers[i] === "1" ? "You saw it" : "It fooled you";
  item.append(...figures, mark);
  return item;
}

function say(name, more = "") {
  const status = find("[data-status]");
  status.textContent = [status.dataset[name], more].filter(Boolean).join(" ");
}

async function copyScore() {
  const worked = await copy(line());
  say(worked ? "copied" : "failed", worked ? "" : line());
}

async function shareScore() {
  if (!navigator.share) return copyScore();
  try {
    await navigator.share({ text: line() });
    say("shared");
  } catch (error) {
    if (error.name !== "AbortError") await copyScore();
  }
}

// ---------------------------------------------------------------------------------------------

function next() {
  if (isOver()) tellScore(true);
  else {
    ask();
    choices[0].focus({ preventScroll: true });
  }
}

function press(event) {
  const isPlain = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.defaultPrevented;
  if (!isPlain || find("[data-board]").hidden || isAnswered) return;
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  event.preventDefault();
  if (!event.repeat) answer(event.key === "ArrowLeft");
}

async function start() {
  pairs = await roundOfDay(day, { ...data, reals: data.reals.length, made: seeds.length });
  answers = answers.slice(0, pairs.length);
  find("[data-day]").textContent = `${pairs.length} pairs a day, the same for everybody. ${said(day)}.`;
  if (isOver()) tellScore(false);
  else {
    find("[data-board]").hidden = false;
    ask();
  }
  performance.mark("metagan:round");
}

choices.forEach((button, i) => button.addEventListener("click", () => answer(i === 0)));
find("[data-next]").addEventListener("click", next);
find("[data-share-score]").addEventListener("click", shareScore);
find("[data-share-score]").closest("li").hidden = !navigator.share;
find("[data-copy-score]").addEventListener("click", copyScore);
document.addEventListener("keydown", press);
keepOffline(root);
start();
