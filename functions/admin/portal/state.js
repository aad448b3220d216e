// @ts-check
// States in words and colours.

import { ago, count } from "./format.js";
import { t } from "./text.js";

/** The colour of an endpoint's state. */
export const COLOURS = { healthy: "good", unsteady: "wait", failing: "bad", disabled: "off", idle: "off" };

/** An endpoint's state in a word. @param {string} state */
export function stateWord(state) {
  const words = {
    healthy: t("healthy"), unsteady: t("unsteady"), failing: t("failing"), disabled: t("disabled"), idle: t("no deliveries yet"),
  };
  return words[/** @type {keyof typeof words} */ (state)] ?? state;
}

/** Why an endpoint is disabled. @param {string | null} by */
export function disabledBy(by) {
  if (by === "gone") return t("It answered 410 Gone, and was disabled for it.");
  if (by === "failing") return t("Disabled after five days of failures.");
  if (by === "customer") return t("Its owner disabled it.");
  if (by === "operator") return t("The sender of the events disabled it.");
  if (by === "request") return t("Somebody disabled it.");
  return t("It is disabled.");
}

/** The same in two words. @param {string} by */
export function disabledShort(by) {
  const words = { gone: "410 Gone", failing: t("failed for five days"), customer: t("by its owner"), operator: t("by the sender") };
  return words[/** @type {keyof typeof words} */ (by)] ?? t("by hand");
}

/**
 * How far a message is, in a colour and words: "2/3 delivered", "failing, 4 of 8, next in 7 min".
 * @param {any} row @param {number} now
 */
export function deliveryState(row, now) {
  const part = row.endpoints > 1 ? `${row.delivered}/${row.endpoints} ` : "";
  switch (row.state) {
    case "delivered":
      return { kind: "good", says: `${part}${t("delivered")}` };
    case "failing": {
      const tried = t("{n} of {most}", { n: row.attempt, most: row.attempts });
      const next = !row.nextAttempt ? "" : Date.parse(row.nextAttempt) <= now ? `, ${t("next one due")}` : `, ${t("next {when}", { when: ago(row.nextAttempt, now) })}`;
      return { kind: "bad", says: part ? `${part}${t("delivered")}` : t("failing"), more: `${tried}${next}` };
    }
    case "failed":
      return { kind: "bad", says: part ? `${part}${t("delivered")}` : t("failed"), more: t("given up") };
    case "canceled":
      return { kind: "off", says: part ? `${part}${t("delivered")}` : t("canceled"), more: part ? t("canceled") : "" };
    case "waiting":
      return { kind: "wait", says: t("waiting") };
    default:
      return { kind: "off", says: t("sent to none") };
  }
}

/** How often a list that can be seen looks for what is new, in milliseconds: ever more seldom where nothing goes on. */
const LOOKS_MS = [5_000, 10_000, 20_000, 30_000];
/** What was tried or is to be tried so near to now goes on, in milliseconds. */
const NEAR_MS = 60_000;

/**
 * How long a list waits before it looks again, in milliseconds.
 * @param {any[]} rows @param {number} now @param {number} quiet how many looks in a row found nothing
 */
export function rest(rows, now, quiet) {
  const near = (at) => at && Math.abs(Date.parse(at) - now) < NEAR_MS;
  const busy = rows.some((row) => near(row.nextAttempt) || near(row.attemptedAt) || near(row.timestamp));
  return LOOKS_MS[busy ? 0 : Math.min(quiet, LOOKS_MS.length - 1)];
}

/** Whether what comes next for a delivery must have happened, so that its line is out of date. @param {any} row @param {number} now */
export function isDue(row, now) {
  if (row.state !== "failing" && row.state !== "waiting") return false;
  return !row.nextAttempt || Date.parse(row.nextAttempt) <= now;
}

/** How far a background task is, in words. @param {Record<string, any> | null | undefined} data */
export function progress(data) {
  const says = /** @type {Record<string, (n: string) => string>} */ ({
    messagesSent: (n) => t("{n} sent", { n }),
    messagesSkipped: (n) => t("{n} skipped", { n }),
    messagesPurged: (n) => t("{n} purged", { n }),
  });
  const numbers = Object.entries(data ?? {}).filter(([, value]) => typeof value === "number");
  return numbers.map(([name, value]) => says[name]?.(count(value)) ?? `${name} ${count(value)}`);
}

/** Verdicts of an explanation. */
export const VERDICTS = {
  delivered: ["good", "delivered"], sending: ["wait", "sending"], waiting: ["wait", "waiting"],
  retrying: ["bad", "failing, will retry"], failed: ["bad", "failed"], canceled: ["off", "canceled"],
  skipped: ["off", "not sent"], missed: ["wait", "missed"],
};
