// @ts-check
// How to verify what an endpoint is sent, with its own secret.

import { html, useEffect, useState } from "./vendor/preact.js";
import { may, own } from "./api.js";
import { Act, Code } from "./parts.js";
import { isPublic, languages, sample } from "./samples.js";
import { t } from "./text.js";

/** What stands for a secret, and for a public key, before it is filled in. */
const UNKNOWN = "whsec_…";
const UNKNOWN_KEY = "whpk_…";

/** Code in the language that is chosen. What the endpoint signs with shows in the beginning of its secret alone. `turn`: of its secrets, which one. */
export function Verify({ endpoint, offered, turn = 0 }) {
  const [language, choose] = useState(languages(UNKNOWN)[0]);
  const [secret, set] = useState(UNKNOWN);
  const shows = endpoint && may("ViewEndpointSecret") && !offered.secretShownOnce;
  const read = async () => (await own("GET", `/endpoint/${endpoint.id}/secret`)).key;
  useEffect(() => {
    let mine = true;
    set(UNKNOWN);
    // Where it does not come the code for a secret stands there, and filling it in says why.
    if (shows) read().then((key) => { if (mine && isPublic(key)) set(UNKNOWN_KEY); }, () => {});
    return () => { mine = false; };
  }, [endpoint?.id, turn]);
  const all = languages(secret);
  const chosen = all.includes(language) ? language : all[0];
  const { needs, code } = sample(chosen, secret, offered.signatureHeaders);
  return html`${isPublic(secret) && html`<p>${t("Its signatures are ed25519 (v1a): the secret is a public key.")}</p>`}
    <div class="chips" role="group" translate=${false} aria-label=${t("Language")}>${all.map((name) => html`<button key=${name} type="button" class="chip" aria-pressed=${name === chosen} onClick=${() => choose(name)}>${name}</button>`)}</div>
    <p class="minor"><code>${needs}</code>${shows && html` <${Act} quiet act=${async () => set(await read())}>${t("Fill in the secret")}<//>`}</p><${Code} plain value=${code} />`;
}
