//! exec and attach: a request that becomes a stream of frames.

use super::failure::Failure;
use crate::exit;
use crate::frames::{ExecFailure, Frame, FrameReader, PROTOCOL};
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::BytesMut;
use futures::StreamExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use muster_engine::documents::{ErrorDocument, ExecRequest};
use muster_runtime::{ExecEvent, ExecInput, Terminal};
use muster_spec::Signal;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// The promise of a stream, and what the stream is for.
pub(crate) async fn take(mut request: Request) -> Result<(OnUpgrade, ExecRequest), Failure> {
    let asked = request.headers().get(header::UPGRADE).is_some_and(|v| v.as_bytes() == PROTOCOL.as_bytes());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (true, Some(upgrade)) = (asked, upgrade) else {
        let text = format!("this route needs `Connection: upgrade` and `Upgrade: {PROTOCOL}`");
        return Err(ErrorDocument::new("api::upgrade", exit::USAGE, text).into());
    };
    let body = Json::<ExecRequest>::from_request(request, &()).await?;
    Ok((upgrade, body.0))
}

/// Switches protocols; the stream begins when the answer has gone out.
pub(crate) fn answer(upgrade: OnUpgrade, terminal: Terminal) -> Response {
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let (read, write) = tokio::io::split(TokioIo::new(upgraded));
                pump(read, write, terminal).await;
            }
            // the caller went away before the stream began: dropping the terminal ends the command
            Err(error) => tracing::debug!(%error, "a stream did not begin"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// Carries both directions until the command ended or the caller went away. They are independent: a command that does
/// not read must not keep its output from the caller.
async fn pump(read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin, terminal: Terminal) {
    let Terminal { input, mut events } = terminal;
    let inward = async {
        let mut frames = FrameReader::new(read);
        while let Ok(Some(frame)) = frames.next().await {
            let Some(what) = to_input(frame) else { continue };
            if input.send(what).await.is_err() {
                // the command takes nothing any more; what it says last is still to come
                std::future::pending::<()>().await;
            }
        }
    };
    let outward = async {
        let mut buffer = BytesMut::new();
        while let Some(event) = events.next().await {
            let frame = to_frame(event);
            let last = matches!(frame, Frame::Exited(_) | Frame::Failed(_));
            buffer.clear();
            frame.encode(&mut buffer);
            if write.write_all(&buffer).await.is_err() || write.flush().await.is_err() || last {
                break;
            }
        }
        let _ = write.shutdown().await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

fn to_input(frame: Frame) -> Option<ExecInput> {
    match frame {
        Frame::Stdin(bytes) => Some(ExecInput::Bytes(bytes.to_vec())),
        Frame::Eof => Some(ExecInput::Eof),
        Frame::Resize(size) => Some(ExecInput::Resize(size)),
        Frame::Signal(number) => Signal::from_number(number).ok().map(ExecInput::Signal),
        Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exited(_) | Frame::Failed(_) => None,
    }
}

fn to_frame(event: ExecEvent) -> Frame {
    match event {
        ExecEvent::Stdout(bytes) => Frame::Stdout(bytes.into()),
        ExecEvent::Stderr(bytes) => Frame::Stderr(bytes.into()),
        ExecEvent::Exited(known) => Frame::Exited(known),
        ExecEvent::Failed { reason, code } => Frame::Failed(ExecFailure { reason, code }),
    }
}
