//! Whole databases, for demos and tests that want one of their own. The daemon never comes here.

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use secrecy::{ExposeSecret, SecretString};

use super::StoreError;

/// Makes an empty database on the server of `url`; gives the URL that leads to it.
pub async fn create_database(url: &SecretString, name: &str) -> Result<String, StoreError> {
    execute(url, &format!("CREATE DATABASE {}", quoted(name))).await?;
    Ok(url_of(url.expose_secret(), name))
}

/// Drops a database, if it is there, and throws out whoever uses it.
pub async fn drop_database(url: &SecretString, name: &str) -> Result<(), StoreError> {
    execute(url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await
}

async fn execute(url: &SecretString, statement: &str) -> Result<(), StoreError> {
    let unreachable = |error: diesel::ConnectionError| StoreError::Unreachable(error.to_string());
    let mut connection = AsyncPgConnection::establish(url.expose_secret()).await.map_err(unreachable)?;
    Ok(connection.batch_execute(statement).await?)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same URL with another database.
fn url_of(url: &str, name: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |at| at + 3);
    let path = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    format!("{}/{name}{parameters}", &address[..path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_another_database_of_the_same_server() {
        for (url, expected) in [
            ("postgres://u:p@h:5432/calltaskd", "postgres://u:p@h:5432/x"),
            ("postgres://u@%2Fvar%2Frun/a?sslmode=disable", "postgres://u@%2Fvar%2Frun/x?sslmode=disable"),
            ("postgresql://h", "postgresql://h/x"),
        ] {
            assert_eq!(url_of(url, "x"), expected);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
