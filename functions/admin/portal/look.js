// @ts-check
// How the pages look: theme, accent, font and logo, of the organisation and of the link.

import { visit } from "./api.js";

/** What a colour may be. */
const COLOUR = /^#[0-9a-f]{6}$/i;

/** Applies what the organisation says and what the link says, the link first. @param {any} said */
export function dress(said) {
  const look = { ...said, ...visit.look };
  const root = document.documentElement;
  root.dataset.theme = ["light", "dark"].includes(look.theme) ? look.theme : "auto";
  if (COLOUR.test(look.accent ?? "")) {
    root.style.setProperty("--fill", look.accent);
    root.style.setProperty("--accent", `light-dark(${look.accent}, ${lighter(look.accent)})`);
  }
  if (/^[\w ,-]{1,200}$/.test(look.font ?? "")) root.style.setProperty("--font", look.font);
}

/** A colour that can be read on a dark ground. @param {string} colour */
export function lighter(colour) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const made = parts.map((part) => Math.round(part + (255 - part) * 0.6).toString(16).padStart(2, "0"));
  return `#${made.join("")}`;
}

/** Tells the page around a frame how high this one is, and when the link has expired. */
export function speakToFrame() {
  if (parent === window) return;
  new ResizeObserver(() => tellFrame({ height: document.documentElement.scrollHeight })).observe(document.body);
}

/** Tells the page around a frame something. @param {Record<string, any>} what */
export function tellFrame(what) {
  // Nothing of it is secret, and the page around is one that the operator named.
  if (parent !== window) parent.postMessage({ source: "posthorn-portal", ...what }, "*");
}
