//! `posthorn token`: a token for this platform, or for a deployed stack.

use shared::domain::clock::Ambient;
use shared::domain::token::Tokens;

use crate::stack::Stack;
use crate::{cli, data};

/// `posthorn token`.
pub(crate) fn print(options: &cli::Token) -> Result<(), String> {
    let ambient = Ambient::system();
    let app = options.app.as_deref();
    let token = match options.of.stack() {
        Some(stack) => Stack::find(&stack)?.token(app, &ambient)?,
        None => {
            let secret = data::root_secret(&options.data.directory, &ambient)?;
            data::issue(&Tokens::new(&secret.token_key()), data::organisation(), app, &ambient)?
        }
    };
    println!("{token}");
    Ok(())
}
