//! Protocol truth: every probe asked now, and what services tell of themselves.

use crate::documents::{CheckResult, ErrorDocument, HealthDocument, ServiceHealth};
use crate::engine::{Engine, select};
use crate::environment::{Examined, Message};
use crate::snapshot::alive;
use futures::stream::{FuturesOrdered, StreamExt};
use muster_core::{State, Wanted};
use muster_probe::{Outcome, ResolvedCheck, attempt, details};
use muster_spec::{EngineHealth, EnvironmentId, InstanceId};
use std::time::{Duration, Instant};

/// How long a service may take to tell its details.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(5);

impl Engine {
    /// Asks every probe of everything selected now.
    ///
    /// # Errors
    /// No such environment or service.
    pub async fn health(
        &self,
        id: &EnvironmentId,
        text: Option<&str>,
        with_details: bool,
    ) -> Result<HealthDocument, ErrorDocument> {
        let handle = self.known(id)?;
        let now = handle.verified().await;
        let chosen = super::state::ordered(&now, &select(&now, text)?);
        let examined = handle.ask(|answer| Message::Examine(chosen.clone(), answer)).await?;
        let asked = chosen.into_iter().zip(examined).map(|(instance, examined)| {
            let view = now.instances.get(&instance).map(|info| info.view.clone());
            async move { one(instance, view, examined, with_details).await }
        });
        let services: Vec<Option<ServiceHealth>> = asked.collect::<FuturesOrdered<_>>().collect().await;
        let services: Vec<ServiceHealth> = services.into_iter().flatten().collect();
        let ok = services.iter().all(|service| service.ok);
        Ok(HealthDocument { schema: "muster.health.v1".to_owned(), ok, services })
    }
}

async fn one(
    instance: InstanceId,
    view: Option<muster_core::View>,
    examined: Examined,
    with_details: bool,
) -> Option<ServiceHealth> {
    let view = view.filter(|view| view.wanted == Wanted::Up)?;
    let mut checks = Vec::new();
    if alive(view.state) {
        for asked in &examined.probes {
            let begun = Instant::now();
            let outcome = attempt(&asked.check, &examined.context, asked.spec.timeout.get()).await;
            let reason = match outcome {
                Outcome::Pass => None,
                Outcome::Fail(reason) => Some(reason),
            };
            checks.push(CheckResult {
                role: asked.role.to_string(),
                check: describe(&asked.check, examined.context.engine()),
                ok: reason.is_none(),
                reason,
                took_ms: begun.elapsed().as_secs_f64() * 1000.0,
            });
        }
    }
    let (told, details_error) = match (&examined.details, with_details && alive(view.state)) {
        (Some(wanted), true) => match details(wanted, DETAILS_TIMEOUT).await {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error.to_string())),
        },
        (Some(_), false) | (None, true | false) => (None, None),
    };
    let fine = match view.state {
        State::Ready => checks.iter().all(|check| check.ok),
        // a job that runs and has no ready probe
        State::Running if view.ready => checks.iter().all(|check| check.ok),
        State::Done => true,
        State::Exited => view.exit.as_ref().is_some_and(|exit| *exit == muster_core::Exit::Code(0)),
        State::Stopped
        | State::Waiting
        | State::Backoff
        | State::Starting
        | State::Running
        | State::Unhealthy
        | State::Stopping
        | State::Failed
        | State::Lost => examined.optional,
    };
    let (name, state) = (instance.to_string(), view.state.to_string());
    Some(ServiceHealth { name, state, ok: fine, checks, details: told, details_error })
}

/// A check in words; a health check that a container does not have is not among several.
fn describe(check: &ResolvedCheck, engine: Option<EngineHealth>) -> String {
    let unchecked = engine == Some(EngineHealth::Unchecked);
    let many = |checks: &[ResolvedCheck], word: &str| {
        let asked = checks.iter().filter(|check| !unchecked || **check != ResolvedCheck::Healthcheck);
        asked.map(|check| describe(check, engine)).collect::<Vec<_>>().join(word)
    };
    match check {
        ResolvedCheck::Tcp(target) => format!("tcp {target}"),
        ResolvedCheck::Http(request) => format!("http {} {}", request.method, request.url),
        ResolvedCheck::Grpc { target, service } if service.is_empty() => format!("grpc {target}"),
        ResolvedCheck::Grpc { target, service } => format!("grpc {target} {service}"),
        ResolvedCheck::Exec(command) => format!("exec {}", command.argv.join(" ")),
        ResolvedCheck::Log(pattern) => format!("log /{}/", pattern.as_str()),
        ResolvedCheck::Notify => "notify READY=1".to_owned(),
        ResolvedCheck::Healthcheck if unchecked => "no health check of its own, alive is enough".to_owned(),
        ResolvedCheck::Healthcheck => "the container's own health check".to_owned(),
        ResolvedCheck::File(path) => format!("file {}", path.display()),
        ResolvedCheck::Listens(ports) => {
            format!("listens on {}", ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        ResolvedCheck::ListensThere(ports) => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            format!("listens there on {}", ports.join(", "))
        }
        ResolvedCheck::TcpThere(port) => format!("somebody listens there on {port}"),
        ResolvedCheck::FileThere(path) => format!("file {} there", path.display()),
        ResolvedCheck::All(checks) => many(checks, " and "),
        ResolvedCheck::Any(checks) => many(checks, " or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_that_is_not_there_is_not_told_as_passed() {
        let both = ResolvedCheck::All(vec![ResolvedCheck::Healthcheck, ResolvedCheck::Listens(vec![80])]);
        let words = |health| (describe(&both, health), describe(&ResolvedCheck::Healthcheck, health));
        let own = "the container's own health check".to_owned();
        assert_eq!(words(Some(EngineHealth::Healthy)), (format!("{own} and listens on 80"), own));
        let none = "no health check of its own, alive is enough".to_owned();
        assert_eq!(words(Some(EngineHealth::Unchecked)), ("listens on 80".to_owned(), none));
    }
}
