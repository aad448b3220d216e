// What build.rs makes of a style sheet.
declare module "*.css" {
  export const css: string;
}
