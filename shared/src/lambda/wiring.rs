//! From environment variables to adapters: what the functions' `main.rs` have in common.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::domain::clock::Ambient;
use crate::domain::metrics::Collector;
use crate::domain::secret::RootSecret;
use crate::host::config::{self, Environment, variable};
use crate::lambda::aws::{self, AwsEnvironment};
use crate::lambda::emf::Emf;
use crate::lambda::invocation::Invocation;
use crate::lambda::telemetry::Telemetry;
use crate::queue::sqs::SqsQueue;
use crate::store::dynamodb::DynamoTable;
use crate::store::table::Table;
use crate::store::{ProfileStore, Profiles};

/// The adapters of one process, on one connection pool.
pub struct Wiring {
    /// The process's knobs.
    pub environment: Environment<'static>,
    aws: AwsEnvironment,
    connections: reqwest::Client,
    http: SharedHttpClient,
    sqs: aws_sdk_sqs::Client,
}

impl Wiring {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// A sentence that names the variable which is missing.
    pub fn from_process() -> Result<Self, String> {
        let aws = AwsEnvironment::from_lookup(&config::from_process);
        let aws = aws.map_err(|error| error.to_string())?;
        let connections = aws::connections().map_err(|error| error.to_string())?;
        let http = aws::http_client(connections.clone());
        let sqs = aws::sqs_client(&aws, http.clone());
        let environment = Environment::new(&config::from_process);
        Ok(Self { environment, aws, connections, http, sqs })
    }

    /// The table.
    ///
    /// # Errors
    /// When its name is missing.
    pub fn table(&self) -> Result<Arc<dyn Table>, String> {
        let client = aws::dynamodb_client(&self.aws, self.http.clone());
        let name = self.environment.required(variable::TABLE)?;
        Ok(Arc::new(DynamoTable::new(client, name)))
    }

    /// The profiles: built in, and stored in this table.
    pub fn profiles(&self, table: Arc<dyn Table>) -> Profiles {
        Profiles::built_in()
            .stored_in(ProfileStore::new(table), Ambient::system().clock)
            .by_default(self.environment.profile())
    }

    /// The root secret: the one in the environment, or the one in Secrets Manager that the
    /// environment names.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without it.
    pub async fn root_secret(&self) -> Result<RootSecret, String> {
        if let Some(secret) = self.environment.root_secret()? {
            return Ok(secret);
        }
        let id = self.environment.required(variable::ROOT_SECRET_ID)?;
        let secrets = self.aws.secrets(&self.connections);
        RootSecret::new(&secrets.text(&id, Ambient::system().now()).await?)
    }

    /// Where to tell metrics, and what writes them down at the end of each invocation, when it
    /// sends its traces as well.
    pub fn metrics(&self, telemetry: Telemetry) -> (Arc<Collector>, Invocation) {
        let collector = Arc::<Collector>::default();
        let stage = self.environment.stage();
        let emf = Emf::new(collector.clone(), Ambient::system().clock, stage);
        (collector, Invocation::new(emf, telemetry))
    }

    /// The queue whose URL is in this variable.
    ///
    /// # Errors
    /// When it is missing.
    pub fn queue(&self, variable: &str) -> Result<Arc<SqsQueue>, String> {
        let url = self.environment.required(variable)?;
        let queue = SqsQueue::new(self.sqs.clone(), url);
        Ok(Arc::new(queue.fair(self.environment.fair_queues())))
    }
}
