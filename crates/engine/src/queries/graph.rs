//! The graph with its state.

use crate::documents::{ErrorDocument, GraphDocument, GraphEdge, GraphNode};
use crate::engine::Engine;
use crate::snapshot::Snapshot;
use crate::words;
use muster_core::{Exit, State};
use muster_spec::{EnvironmentId, ServiceSpec, Until};

impl Engine {
    /// Services, needs, and how far they are.
    ///
    /// # Errors
    /// No such environment.
    pub async fn graph(&self, id: &EnvironmentId) -> Result<GraphDocument, ErrorDocument> {
        let now = self.known(id)?.now();
        let services = || now.accepted.iter().flat_map(|accepted| accepted.stack.services.values());
        let node = |service: &ServiceSpec| GraphNode {
            name: service.name.to_string(),
            group: service.group.clone(),
            kind: words::kind(service.kind).to_owned(),
            state: least(&now, service).unwrap_or(State::Stopped).to_string(),
        };
        let edges = services().flat_map(|service| {
            service.needs.iter().map(|need| GraphEdge {
                from: service.name.to_string(),
                to: need.service.to_string(),
                until: muster_core::words::until(need.until).to_owned(),
                met: met(&now, &need.service, need.until),
            })
        });
        Ok(GraphDocument {
            schema: "muster.graph.v1".to_owned(),
            nodes: services().map(node).collect(),
            edges: edges.collect(),
        })
    }
}

/// Of several copies the one that is least far.
fn least(now: &Snapshot, service: &ServiceSpec) -> Option<State> {
    now.instances.iter().filter(|(i, _)| i.service == service.name).map(|(_, info)| info.view.state).min()
}

fn met(now: &Snapshot, needed: &muster_spec::ServiceName, until: Until) -> bool {
    let mut copies = now.instances.iter().filter(|(i, _)| i.service == *needed).map(|(_, info)| &info.view).peekable();
    copies.peek().is_some()
        && copies.all(|view| match until {
            Until::Started => crate::snapshot::alive(view.state) || view.state == State::Done,
            Until::Ready => view.ready || view.state == State::Done,
            Until::Healthy => view.ready && view.healthy || view.state == State::Done,
            Until::Done => view.state == State::Done,
            Until::Exited => {
                matches!(view.state, State::Done | State::Exited | State::Failed)
                    || matches!((view.state, &view.exit), (State::Stopped, Some(Exit::Code(_))))
            }
        })
}
