//! From environment variables to adapters: what the functions' `main.rs` have in common.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::domain::clock::Ambient;
use crate::domain::metrics::Collector;
use crate::domain::secret::RootSecret;
use crate::host::assembly::Base;
use crate::host::config::{self, Environment, variable};
use crate::lambda::aws::{self, AwsEnvironment, Caller};
use crate::lambda::emf::Emf;
use crate::lambda::invocation::Invocation;
use crate::lambda::telemetry::Telemetry;
use crate::queue::sqs::SqsQueue;
use crate::sender::{HttpSender, Sender, SenderSettings};
use crate::store::dynamodb::DynamoTable;
use crate::store::{Backpressure, Profiles, StoreSettings};

/// The adapters of one process, on one connection pool.
pub struct Wiring {
    /// The process's knobs.
    pub environment: Environment<'static>,
    aws: AwsEnvironment,
    connections: reqwest::Client,
    http: SharedHttpClient,
    sqs: aws_sdk_sqs::Client,
    caller: Caller,
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
        Ok(Self { environment, aws, connections, http, sqs, caller: Caller::Waits })
    }

    /// The same for a function whose callers can ask again.
    #[must_use]
    pub fn for_callers(self) -> Self {
        Self { caller: Caller::MayAskAgain, ..self }
    }

    /// What every function has, and what writes its metrics down at the end of each invocation,
    /// when it sends its traces as well.
    ///
    /// # Errors
    /// When the name of the table is missing.
    pub fn base(
        &self,
        stores: StoreSettings,
        telemetry: Telemetry,
    ) -> Result<(Base, Invocation), String> {
        let client = aws::dynamodb_client(&self.aws, self.http.clone(), self.caller);
        let name = self.environment.required(variable::TABLE)?;
        let (metrics, ambient) = (Arc::<Collector>::default(), Ambient::system());
        let emf = Emf::new(metrics.clone(), ambient.clock.clone(), self.environment.stage());
        let backpressure = Backpressure::default();
        let table = Arc::new(DynamoTable::new(client, name).telling(backpressure.clone()));
        let base = Base { backpressure, ..Base::new(table, stores, metrics, ambient) };
        Ok((base, Invocation::new(emf, telemetry)))
    }

    /// The profiles that come with Posthorn.
    pub fn profiles(&self) -> Profiles {
        Profiles::built_in().by_default(self.environment.profile())
    }

    /// The way out, to where endpoints may be.
    ///
    /// # Errors
    /// When no connection could be encrypted, or what is refused does not read.
    pub fn sender(&self) -> Result<Arc<dyn Sender>, String> {
        let policy = self.environment.target_policy()?;
        Ok(Arc::new(HttpSender::new(SenderSettings { policy, ..SenderSettings::default() })?))
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

    /// The queue whose URL is in this variable.
    ///
    /// # Errors
    /// When it is missing.
    pub fn queue(&self, variable: &str) -> Result<Arc<SqsQueue>, String> {
        let url = self.environment.required(variable)?;
        let queue = SqsQueue::new(self.sqs.clone(), url);
        Ok(Arc::new(queue.fair(self.environment.fair_queues()?)))
    }
}
