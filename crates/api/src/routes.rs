//! What can be asked: the one table of routes, and the queries that they take.

use muster_engine::documents::LogQuery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One JSON document of this schema.
    One(&'static str),
    /// One JSON document of this schema per line, or per server-sent event.
    Lines(&'static str),
    /// The connection is upgraded to a stream of frames.
    Frames,
    /// JSON whose shape is the file format's, not the API's.
    Free,
    /// Text of another specification.
    Text,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `get`, `post` or `delete`.
    pub method: &'static str,
    /// With `{id}` for the environment.
    pub path: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Schema of the body; `None` where there is none.
    pub body: Option<&'static str>,
    /// Parameters of the query: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    /// What comes back.
    pub answer: Answer,
}

const SELECT: (&str, &str) = ("select", "selector; everything when absent");

const fn get(path: &'static str, summary: &'static str, answer: Answer) -> Route {
    Route { method: "get", path, summary, body: None, query: &[], answer }
}

const fn selected(path: &'static str, summary: &'static str, answer: &'static str) -> Route {
    Route { method: "get", path, summary, body: None, query: &[SELECT], answer: Answer::One(answer) }
}

const fn post(path: &'static str, summary: &'static str, body: &'static str, answer: Answer) -> Route {
    Route { method: "post", path, summary, body: Some(body), query: &[], answer }
}

const ACCEPTED: Answer = Answer::One("AcceptedDocument");

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    get("/v1/info", "who answers", Answer::One("InfoDocument")),
    get("/v1/openapi.json", "this document", Answer::Free),
    get("/v1/metrics", "states, use and limits of everything, as OpenMetrics text", Answer::Text),
    get("/v1/environments", "every environment", Answer::One("EnvironmentsDocument")),
    Route {
        method: "delete",
        path: "/v1/environments/{id}",
        summary: "forget an environment that is down: logs, history and port block",
        body: None,
        query: &[("data", "also its data")],
        answer: Answer::One("DoneDocument"),
    },
    post("/v1/up", "make it so: start what should run, restart what changed", "UpRequest", ACCEPTED),
    post("/v1/plan", "what `up` would do; nothing is touched", "UpRequest", Answer::One("PlanDocument")),
    post(
        "/v1/build",
        "build steps and images of what is selected; the last line is what came of it",
        "UpRequest",
        Answer::Lines("BuildProgress"),
    ),
    post("/v1/environments/{id}/down", "stop in reverse order and remove", "SelectRequest", ACCEPTED),
    post("/v1/environments/{id}/start", "start with what is needed", "SelectRequest", ACCEPTED),
    post("/v1/environments/{id}/stop", "stop", "SelectRequest", ACCEPTED),
    post("/v1/environments/{id}/restart", "stop and start", "SelectRequest", ACCEPTED),
    post("/v1/environments/{id}/forget", "drop what cannot be verified", "SelectRequest", ACCEPTED),
    post("/v1/environments/{id}/signal", "send a signal", "SelectRequest", ACCEPTED),
    Route {
        method: "get",
        path: "/v1/environments/{id}/status",
        summary: "process truth",
        body: None,
        query: &[SELECT, ("usage", "also CPU and memory")],
        answer: Answer::One("StatusDocument"),
    },
    Route {
        method: "get",
        path: "/v1/environments/{id}/health",
        summary: "protocol truth: probes now",
        body: None,
        query: &[SELECT, ("details", "also the services' own details")],
        answer: Answer::One("HealthDocument"),
    },
    selected("/v1/environments/{id}/why", "the chain of causes", "WhyDocument"),
    selected("/v1/environments/{id}/ports", "who listens where", "PortsDocument"),
    Route {
        method: "get",
        path: "/v1/environments/{id}/way",
        summary: "how one service reaches another",
        body: None,
        query: &[("from", "the service that asks"), ("to", "the service that is asked for")],
        answer: Answer::One("WayDocument"),
    },
    get("/v1/environments/{id}/graph", "the graph with state", Answer::One("GraphDocument")),
    Route {
        method: "get",
        path: "/v1/environments/{id}/context",
        summary: "environment and folder of one service, with secrets",
        body: None,
        query: &[SELECT],
        answer: Answer::Free,
    },
    get("/v1/environments/{id}/stack", "the last accepted stack", Answer::Free),
    post(
        "/v1/environments/{id}/wait",
        "changes until a target is met; the last line is the outcome",
        "WaitRequest",
        Answer::Lines("Progress"),
    ),
    Route {
        method: "get",
        path: "/v1/environments/{id}/events",
        summary: "history",
        body: None,
        query: &[SELECT, ("after", "only entries after this number"), ("follow", "go on with what comes")],
        answer: Answer::Lines("EventDocument"),
    },
    Route {
        method: "get",
        path: "/v1/environments/{id}/logs",
        summary: "one stream of lines in order of time",
        body: None,
        query: &[
            SELECT,
            ("follow", "go on with what comes"),
            ("tail", "the last so many lines of each"),
            ("since_ns", "not before, in nanoseconds since 1970"),
            ("until_ns", "not after"),
            ("grep", "only lines in which this regular expression matches"),
            ("stderr", "only standard error"),
            ("previous", "the run before the current one"),
        ],
        answer: Answer::Lines("LogLine"),
    },
    post("/v1/environments/{id}/logs", "the same, asked with a document", "LogQuery", Answer::Lines("LogLine")),
    post("/v1/environments/{id}/exec", "a command in a service's context", "ExecRequest", Answer::Frames),
    post(
        "/v1/environments/{id}/bring",
        "changed files of this machine into containers that run",
        "BringRequest",
        Answer::One("BroughtDocument"),
    ),
    post("/v1/environments/{id}/attach", "a service's terminal", "ExecRequest", Answer::Frames),
    post("/v1/daemon/stop", "end the daemon", "StopRequest", Answer::One("DoneDocument")),
    post("/v1/daemon/upgrade", "go on as another binary", "UpgradeRequest", Answer::One("DoneDocument")),
];

/// Query of most reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReadQuery {
    /// Selector; everything when absent.
    pub select: Option<String>,
    /// `status`: CPU and memory, too.
    pub usage: bool,
    /// `health`: the service's own details, too.
    pub details: bool,
    /// `way`: the service that asks.
    pub from: Option<String>,
    /// `way`: the service that is asked for.
    pub to: Option<String>,
    /// `DELETE`: data, too.
    pub data: bool,
    /// `events`: only entries after this number.
    pub after: Option<u64>,
    /// `events`: goes on with what comes.
    pub follow: bool,
}

/// Query of `GET logs`; the document of the same name can say more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogParameters {
    select: Option<String>,
    follow: bool,
    tail: Option<usize>,
    since_ns: Option<u64>,
    until_ns: Option<u64>,
    grep: Option<String>,
    stderr: bool,
    previous: bool,
}

impl From<LogParameters> for LogQuery {
    fn from(p: LogParameters) -> Self {
        Self {
            select: p.select,
            follow: p.follow,
            tail: p.tail,
            since_ns: p.since_ns,
            until_ns: p.until_ns,
            grep: p.grep,
            stderr: p.stderr,
            previous: p.previous,
            from_runs: std::collections::BTreeMap::new(),
        }
    }
}
