//! Says who we are, when a server asks (RFC 3261, section 22; RFC 8760).

use rsipstack::dialog::authenticate::{Credential, handle_client_authenticate};
use rsipstack::sip::{HeadersExt, Response};
use rsipstack::transaction::transaction::Transaction;
use secrecy::ExposeSecret;

use crate::settings::Credentials;

/// The same request with the next number and with what was asked for, not sent yet; `None` when that cannot be given.
pub(super) async fn answered(
    transaction: &Transaction,
    challenge: &Response,
    credentials: Option<&Credentials>,
) -> Option<Transaction> {
    let Credentials { username, password } = credentials?;
    let (username, password) = (username.clone(), password.expose_secret().to_owned());
    let credential = Credential { username, password, realm: None, auth_username: None };
    let number = transaction.original.cseq_header().ok()?.seq().ok()? + 1;
    let next = handle_client_authenticate(number, transaction, challenge.clone(), &credential).await;
    next.inspect_err(|error| tracing::warn!(%error, "a challenge cannot be answered")).ok()
}
