// @ts-check
// What an endpoint is sent, as far as a visitor can know.

/** Whether it gets tokens. @param {any} shown @param {any} offered */
export function isTokenKind(shown, offered) {
  const own = !shown.profile || shown.profile === offered.profile;
  return (shown.format ?? (own ? offered.format : null)) === "jwt";
}
