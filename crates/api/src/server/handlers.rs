//! A handler per route.

use super::failure::Failure;
use super::{App, Control, streams, terminal};
use crate::documents::{
    API_HEADER, API_MAJOR, DoneDocument, EnvironmentsDocument, Services, StopRequest, UpgradeRequest,
};
use crate::exit;
use crate::routes::{LogParameters, ReadQuery};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use muster_engine::documents::{BringRequest, ErrorDocument, LogQuery, SelectRequest, UpRequest, WaitRequest};
use muster_spec::EnvironmentId;
use serde::Serialize;

/// A resolved stack of a thousand services with long environments fits; nothing of ours is larger.
const MAX_BODY: usize = 64 << 20;

type Answer = Result<Response, Failure>;
type Body<T> = Result<Json<T>, JsonRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

pub(crate) fn router(app: App) -> Router {
    let environment = Router::new()
        .route("/down", post(down))
        .route("/start", post(start))
        .route("/stop", post(stop))
        .route("/restart", post(restart))
        .route("/forget", post(forget))
        .route("/signal", post(signal))
        .route("/status", get(status))
        .route("/health", get(health))
        .route("/why", get(why))
        .route("/ports", get(ports))
        .route("/way", get(way))
        .route("/graph", get(graph))
        .route("/context", get(context))
        .route("/stack", get(stack))
        .route("/wait", post(wait))
        .route("/events", get(events))
        .route("/logs", get(logs).post(logs_by_document))
        .route("/exec", post(exec))
        .route("/bring", post(bring))
        .route("/attach", post(attach));
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/metrics", get(metrics))
        .route("/v1/environments", get(environments))
        .route("/v1/environments/{id}", delete(remove))
        .nest("/v1/environments/{id}", environment)
        .route("/v1/up", post(up))
        .route("/v1/plan", post(plan))
        .route("/v1/build", post(build))
        .route("/v1/daemon/stop", post(stop_daemon))
        .route("/v1/daemon/upgrade", post(upgrade_daemon))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::map_response(stamp))
        .with_state(app)
}

/// Every answer says which version speaks.
async fn stamp(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static(API_HEADER), HeaderValue::from(API_MAJOR));
    response
}

fn ok(document: &impl Serialize) -> Answer {
    Ok(Json(document).into_response())
}

fn environment(id: &str) -> Result<EnvironmentId, Failure> {
    id.parse().map_err(|_| -> Failure {
        let text = format!("`{id}` is not an environment");
        ErrorDocument::new("api::environment", exit::NOT_FOUND, text).help("`muster env list` shows them").into()
    })
}

async fn unknown(request: Request) -> Failure {
    let text = format!("there is no route `{} {}`", request.method(), request.uri().path());
    ErrorDocument::new("api::route", exit::NOT_FOUND, text).help("`muster openapi` lists the routes").into()
}

async fn info(State(app): State<App>) -> Answer {
    ok(&app.engine.info())
}

async fn openapi(State(app): State<App>) -> Answer {
    ok(&crate::openapi::document(&app.version))
}

async fn metrics(State(app): State<App>) -> Answer {
    let samples = app.engine.samples().await;
    let text = super::metrics::encode(&app.version, &samples).map_err(|error| {
        Failure::from(ErrorDocument::new("runtime::failed", exit::FAILED, format!("the metrics: {error}")))
    })?;
    Ok(([(http::header::CONTENT_TYPE, super::metrics::CONTENT_TYPE)], text).into_response())
}

async fn environments(State(app): State<App>) -> Answer {
    let environments = app.engine.environments();
    ok(&EnvironmentsDocument { schema: "muster.environments.v1".into(), environments })
}

async fn remove(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    app.engine.remove(&environment(&id)?, query?.data).await?;
    ok(&DoneDocument::new())
}

async fn up(State(app): State<App>, body: Body<UpRequest>) -> Answer {
    ok(&app.engine.up(body?.0).await?)
}

async fn plan(State(app): State<App>, body: Body<UpRequest>) -> Answer {
    ok(&app.engine.plan(body?.0).await?)
}

async fn build(State(app): State<App>, headers: HeaderMap, body: Body<UpRequest>) -> Answer {
    let stream = app.engine.build(body?.0).await?;
    Ok(streams::answer(streams::plain(stream), &headers))
}

macro_rules! commands {
    ($($name:ident),*) => {$(
        async fn $name(State(app): State<App>, Path(id): Path<String>, body: Body<SelectRequest>) -> Answer {
            ok(&app.engine.$name(&environment(&id)?, body?.0).await?)
        }
    )*};
}
commands!(down, start, stop, restart, forget, signal);

async fn status(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    let query = query?.0;
    ok(&app.engine.status(&environment(&id)?, query.select.as_deref(), query.usage).await?)
}

async fn health(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    let query = query?.0;
    ok(&app.engine.health(&environment(&id)?, query.select.as_deref(), query.details).await?)
}

async fn why(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    ok(&app.engine.why(&environment(&id)?, query?.select.as_deref()).await?)
}

async fn ports(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    ok(&app.engine.ports(&environment(&id)?, query?.select.as_deref()).await?)
}

async fn way(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    let query = query?.0;
    let (from, to) = query.from.zip(query.to).ok_or_else(|| {
        let text = "`way` needs the queries `from` and `to` with one service each";
        Failure::from(ErrorDocument::new("api::query", exit::USAGE, text))
    })?;
    ok(&app.engine.way(&environment(&id)?, &from, &to).await?)
}

async fn graph(State(app): State<App>, Path(id): Path<String>) -> Answer {
    ok(&app.engine.graph(&environment(&id)?).await?)
}

async fn context(State(app): State<App>, Path(id): Path<String>, query: Asked<ReadQuery>) -> Answer {
    let query = query?.0;
    let select = query.select.ok_or_else(|| {
        let text = "`context` needs the query `select` with one service";
        Failure::from(ErrorDocument::new("api::query", exit::USAGE, text))
    })?;
    ok(&app.engine.context(&environment(&id)?, &select).await?)
}

async fn stack(State(app): State<App>, Path(id): Path<String>) -> Answer {
    ok(&app.engine.stack(&environment(&id)?).await?)
}

async fn wait(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap, body: Body<WaitRequest>) -> Answer {
    let stream = app.engine.wait(&environment(&id)?, body?.0)?;
    Ok(streams::answer(streams::guarded(stream), &headers))
}

async fn events(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap, query: Asked<ReadQuery>) -> Answer {
    let query = query?.0;
    let stream = app.engine.events(&environment(&id)?, query.after, query.follow, query.select.as_deref())?;
    Ok(streams::answer(streams::guarded(stream), &headers))
}

async fn logs(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Asked<LogParameters>,
) -> Answer {
    log_lines(&app, &id, &headers, query?.0.into())
}

async fn logs_by_document(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body<LogQuery>,
) -> Answer {
    log_lines(&app, &id, &headers, body?.0)
}

/// Lines are read from the disk as fast as the reader takes them: nobody waits for a slow one.
fn log_lines(app: &App, id: &str, headers: &HeaderMap, query: LogQuery) -> Answer {
    let stream = app.engine.logs(&environment(id)?, query)?;
    Ok(streams::answer(streams::plain(stream), headers))
}

async fn exec(State(app): State<App>, Path(id): Path<String>, request: Request) -> Answer {
    let (upgrade, body) = terminal::take(request).await?;
    let terminal = app.engine.exec(&environment(&id)?, &body).await?;
    Ok(terminal::answer(upgrade, terminal))
}

async fn bring(State(app): State<App>, Path(id): Path<String>, body: Body<BringRequest>) -> Answer {
    ok(&app.engine.bring(&environment(&id)?, &body?.0).await?)
}

async fn attach(State(app): State<App>, Path(id): Path<String>, request: Request) -> Answer {
    let (upgrade, body) = terminal::take(request).await?;
    let terminal = app.engine.attach(&environment(&id)?, &body).await?;
    Ok(terminal::answer(upgrade, terminal))
}

async fn stop_daemon(State(app): State<App>, body: Body<StopRequest>) -> Answer {
    match body?.services {
        Services::Keep => {}
        Services::Stop => app.engine.stop_all().await?,
    }
    tell(&app, Control::Stop).await
}

async fn upgrade_daemon(State(app): State<App>, body: Body<UpgradeRequest>) -> Answer {
    let binary = std::path::PathBuf::from(&body?.binary);
    crate::daemon::probe_binary(&binary).await?;
    tell(&app, Control::Upgrade(binary)).await
}

async fn tell(app: &App, control: Control) -> Answer {
    if app.control.try_send(control).is_err() {
        let document = ErrorDocument::new("daemon::ending", exit::DAEMON, "the daemon is ending already");
        return Err(document.help("run the command again in a moment").into());
    }
    ok(&DoneDocument::new())
}
