// Small parts that pages are made of. Text is always put in as text: what is shown here was sent
// by strangers.

/**
 * An element. `properties` are set as properties (`onclick`, `value`), those with a dash and
 * `role` as attributes; children are elements, text, or nothing.
 */
export function h(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null) continue;
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A time as the reader's clock has it, exact in its title. */
export function time(text) {
  if (!text) return "";
  return h("time", { dateTime: text, title: text }, new Date(text).toLocaleString());
}

/** A state, as a word in its colour. */
export function badge(word) {
  return h("span", { className: `badge ${word.replace(/\W/g, "-")}` }, word);
}

/** JSON, laid out for reading; anything else as it is. */
export function code(value) {
  let text = value;
  if (typeof value !== "string") text = JSON.stringify(value, null, 2);
  return h("pre", { tabIndex: 0 }, text);
}

/** A table; a row is a list of cells. */
export function table(heads, rows, empty) {
  if (rows.length === 0) return h("p", { className: "empty" }, empty);
  const head = h("tr", null, heads.map((text) => h("th", { scope: "col" }, text)));
  const line = (cells) => h("tr", null, cells.map((cell) => h("td", null, cell)));
  return h("div", { className: "wide" },
    h("table", null, h("thead", null, head), h("tbody", null, rows.map(line))));
}

/** A field of a form, under its name. What is wrong with it is told by `tell`. */
export function field(label, input, hint) {
  return h("label", { className: "field" }, h("span", null, label), input,
    hint ? h("small", null, hint) : null, h("em", { role: "alert" }));
}

/** Says beside each field of the form what the API had against it; the rest as a notice. */
export function tell(form, refused) {
  let said = false;
  for (const [name, rule] of refused.fields ?? []) {
    const input = form.elements.namedItem(name);
    const alert = input?.closest?.(".field")?.querySelector("em");
    if (!alert) continue;
    alert.textContent = rule;
    if (!said) input.focus();
    said = true;
  }
  if (!said) notice(refused.message, true);
}

/** Takes back what `tell` said. */
export function untell(form) {
  for (const alert of form.querySelectorAll("em")) alert.textContent = "";
}

/** A button that does something which may fail; it rests meanwhile. */
export function button(label, act, className) {
  const element = h("button", { type: "button", className }, label);
  element.onclick = () => busy(element, act);
  return element;
}

/** Does `act` while the button rests; what goes wrong is a notice. */
export async function busy(element, act) {
  element.disabled = true;
  try {
    await act();
  } catch (error) {
    notice(error.message, true);
    if (error.status === 401) dispatchEvent(new Event("expired"));
  } finally {
    element.disabled = false;
  }
}

/** A list that grows by a page at a time. `show` makes an element of everything so far. */
export async function growing(page, show) {
  const place = h("div");
  const found = [];
  let iterator = null;
  const more = button("Show more", next);
  async function next() {
    const answer = await page(iterator);
    found.push(...answer.data);
    iterator = answer.iterator;
    place.replaceChildren(show(found), answer.done ? "" : more);
  }
  await next();
  return place;
}

/**
 * Asks before something that cannot be taken back; true if the answer is yes. Without a `yes` it
 * only tells. The browser's own dialogs are not to be had in a frame of another site.
 */
export function ask(text, yes) {
  const close = (label, value) => h("button", { value, className: value ? "main" : "" }, label);
  const answers = yes ? [close(yes, "yes"), close("Cancel", "")] : [close("Close", "")];
  const form = h("form", { method: "dialog" }, text, h("div", { className: "bar left" }, answers));
  const dialog = h("dialog", null, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
  });
}

let quiet;

/** Tells something for some seconds. */
export function notice(text, bad = false) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.className = bad ? "bad" : "good";
  clearTimeout(quiet);
  quiet = setTimeout(() => (place.textContent = ""), bad ? 12000 : 5000);
}
