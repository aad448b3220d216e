//! `JsonSchema` for the functions that run: it takes the attributes of the one that the API's
//! description is made with, and derives nothing. So types say how they are described beside
//! their fields, and no binary carries it.

use proc_macro::TokenStream;

/// Nothing.
#[proc_macro_derive(JsonSchema, attributes(schemars))]
pub fn nothing(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
