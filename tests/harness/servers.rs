//! A database and a name space on the bus for one test, both gone when it ends.
//!
//! `DATABASE_URL` and `AMQP_URL` say where; the user needs the right to create databases. With
//! `CALLTASKD_TEST_KEEP=1` both stay, to be looked at.

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use uuid::Uuid;

/// Where one test's daemon works.
#[derive(Debug, Clone)]
pub struct Place {
    pub database_url: String,
    pub amqp_url: String,
    /// What the names of its exchanges and queues begin with.
    pub prefix: String,
}

impl Place {
    /// An exchange or queue of the contract.
    pub fn name(&self, last: &str) -> String {
        format!("{}.{last}", self.prefix)
    }

    /// A channel of a new connection, which stays open as long as the first value lives.
    pub async fn channel(&self) -> Result<(Connection, Channel), lapin::Error> {
        let connection = Connection::connect(&self.amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }
}

/// Keeps the place, and removes it when dropped.
pub struct Servers {
    pub place: Place,
    server_url: String,
    database: String,
}

impl Servers {
    /// Makes an empty database and chooses names that nobody has.
    pub async fn fresh() -> Self {
        let server_url = variable("DATABASE_URL");
        let id = Uuid::new_v4().simple().to_string();
        let database = format!("calltaskd_test_{id}");
        // From template0: nobody can be connected to it, which would be an error.
        execute(&server_url, &format!("CREATE DATABASE {database} TEMPLATE template0")).await.unwrap();
        let place = Place {
            database_url: with_database(&server_url, &database),
            amqp_url: variable("AMQP_URL"),
            prefix: format!("test-{id}"),
        };
        Self { place, server_url, database }
    }

    async fn remove(server_url: String, database: String, place: Place) {
        let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        if let Err(error) = execute(&server_url, &statement).await {
            println!("the database {database} stays: {error}");
        }
        if let Err(error) = remove_names(&place).await {
            println!("names that begin with {} stay on the bus: {error}", place.prefix);
        }
    }
}

impl Drop for Servers {
    /// On a thread with a runtime of its own, since the test's may be the one that drops this.
    fn drop(&mut self) {
        if std::env::var_os("CALLTASKD_TEST_KEEP").is_some() {
            println!("kept: {:?}", self.place);
            return;
        }
        let removal = Self::remove(self.server_url.clone(), self.database.clone(), self.place.clone());
        let thread = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(removal));
        drop(thread.join());
    }
}

async fn remove_names(place: &Place) -> Result<(), lapin::Error> {
    let (_connection, channel) = place.channel().await?;
    for queue in ["commands", "queries", "dead", "ledger"] {
        channel.queue_delete(place.name(queue).into(), QueueDeleteOptions::default()).await?;
    }
    for exchange in ["commands", "queries", "dead", "events"] {
        channel.exchange_delete(place.name(exchange).into(), ExchangeDeleteOptions::default()).await?;
    }
    Ok(())
}

async fn execute(url: &str, statement: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    connection.batch_execute(statement).await?;
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by `make test`"))
}

/// The same server, another database.
fn with_database(url: &str, database: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, None), |(address, options)| (address, Some(options)));
    let (server, _) = address.rsplit_once('/').unwrap();
    match options {
        Some(options) => format!("{server}/{database}?{options}"),
        None => format!("{server}/{database}"),
    }
}
