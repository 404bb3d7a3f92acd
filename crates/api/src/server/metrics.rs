//! What runs and what it uses, in the OpenMetrics text format: `GET /v1/metrics`.
//!
//! A registry is made per answer: between two questions nothing is counted and nothing is kept.

use muster_engine::Sample;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::AtomicU64;

/// What the answer says that it is (OpenMetrics 1.0, content type).
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    stack: String,
    environment: String,
    service: String,
    replica: u32,
    runtime: String,
}

/// Which instance is in which state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct In {
    stack: String,
    environment: String,
    service: String,
    replica: u32,
    runtime: String,
    state: String,
}

/// What a gauge shows of an instance, where there is something.
type Value = fn(&Sample) -> Option<f64>;
type Floats = Family<Of, Gauge<f64, AtomicU64>>;

/// The text for these instances.
///
/// # Errors
/// None that a text in memory could have.
pub(super) fn encode(version: &str, samples: &[Sample]) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("muster");
    let info = prometheus_client::metrics::info::Info::new(vec![("version".to_owned(), version.to_owned())]);
    registry.register("build", "the daemon that answers", info);
    state(&mut registry, samples);
    let gauges: [(&str, &str, Value); 10] = [
        ("service_ready", "1 where its readiness checks passed", |s| Some(f64::from(u8::from(s.status.ready)))),
        ("service_healthy", "1 where its liveness checks pass", |s| Some(f64::from(u8::from(s.status.healthy)))),
        ("service_wanted", "1 where it should run", |s| Some(f64::from(u8::from(s.status.wanted == "up")))),
        ("service_uptime_seconds", "how long the current run is there", |s| s.status.uptime_s),
        ("service_memory_bytes", "memory that it uses", |s| Some(s.usage?.memory_bytes as f64)),
        ("service_processes", "processes of its tree", |s| Some(f64::from(s.usage?.processes))),
        ("service_memory_limit_bytes", "memory that it may use", |s| {
            Some(s.status.limits.as_ref()?.memory_bytes? as f64)
        }),
        ("service_cpu_limit_cores", "cores that it may use", |s| s.status.limits.as_ref()?.cpus),
        ("service_processes_limit", "processes and threads that it may have", |s| {
            Some(s.status.limits.as_ref()?.pids? as f64)
        }),
        ("service_files_limit", "files that it may have open", |s| Some(s.status.limits.as_ref()?.files? as f64)),
    ];
    for (name, help, value) in gauges {
        let family = Floats::default();
        for sample in samples {
            if let Some(value) = value(sample) {
                family.get_or_create(&of(sample)).set(value);
            }
        }
        registry.register(name, help, family);
    }
    let mut text = String::new();
    text::encode(&mut text, &counted(registry, samples))?;
    Ok(text)
}

/// What only grows. A run that ends begins anew: readers know that as a reset.
fn counted(mut registry: Registry, samples: &[Sample]) -> Registry {
    let restarts = Family::<Of, Counter>::default();
    let cpu = Family::<Of, Counter<f64, AtomicU64>>::default();
    for sample in samples {
        restarts.get_or_create(&of(sample)).inc_by(u64::from(sample.status.restarts));
        if let Some(usage) = sample.usage {
            cpu.get_or_create(&of(sample)).inc_by(usage.cpu_ns as f64 / 1e9);
        }
    }
    registry.register("service_restarts", "restarts by policy since it was asked for", restarts);
    registry.register("service_cpu_seconds", "CPU time of the current run", cpu);
    registry
}

fn state(registry: &mut Registry, samples: &[Sample]) {
    let family = Family::<In, Gauge>::default();
    for sample in samples {
        let Of { stack, environment, service, replica, runtime } = of(sample);
        let state = sample.status.state.clone();
        family.get_or_create(&In { stack, environment, service, replica, runtime, state }).set(1);
    }
    registry.register("service_state", "1 for the state that it is in", family);
}

fn of(sample: &Sample) -> Of {
    Of {
        stack: sample.stack.clone(),
        environment: sample.environment.clone(),
        service: sample.status.name.clone(),
        replica: sample.status.replica.into(),
        runtime: sample.status.runtime.clone(),
    }
}
