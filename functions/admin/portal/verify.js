// @ts-check
// How to verify what an endpoint is sent, with its own secret.

import { html, useEffect, useState } from "./vendor/preact.js";
import { may, own } from "./api.js";
import { Act, Code } from "./parts.js";
import { languages, sample } from "./samples.js";
import { t } from "./text.js";

/** Code in the language that is chosen. */
export function Verify({ endpoint, offered }) {
  const [language, choose] = useState(languages()[0]);
  const [secret, set] = useState("whsec_…");
  const shows = may("ViewEndpointSecret") && !offered.secretShownOnce;
  useEffect(() => set("whsec_…"), [endpoint?.id]);
  const fill = async () => set((await own("GET", `/endpoint/${endpoint.id}/secret`)).key);
  const { needs, code } = sample(language, secret);
  return html`<div class="chips" role="group" translate=${false} aria-label=${t("Language")}>${languages().map((name) => html`<button key=${name} type="button" class="chip" aria-pressed=${name === language} onClick=${() => choose(name)}>${name}</button>`)}</div>
    <p class="minor"><code>${needs}</code>${shows && endpoint && html` <${Act} quiet act=${fill}>${t("Fill in the secret")}<//>`}</p><${Code} plain value=${code} />`;
}
