//! Commands and terminals on another host.

use super::mux::Mux;
use super::trouble::Trouble;
use super::wire::{Failure, Input, Item, OpenAsk, PIECE};
use crate::contract::{ExecEvent, ExecInput, Known, RuntimeError, TERMINAL_QUEUE, Terminal};
use futures::stream::{self, StreamExt as _};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Opens a command's or a terminal's channel.
pub(super) async fn open(mux: &Arc<Mux>, ask: OpenAsk) -> Result<Terminal, RuntimeError> {
    let mut channel = mux.open(ask).await.map_err(|cut| Trouble::passing(cut.0))?;
    channel.opened().await.map_err(|cut| Trouble::passing(cut.0))?.map_err(Failure::into_error)?;
    let inlet = channel.inlet();
    let (input, mut inputs) = mpsc::channel::<ExecInput>(TERMINAL_QUEUE);
    tokio::spawn(async move {
        while let Some(given) = inputs.recv().await {
            for piece in pieces(given) {
                if inlet.send(piece).await.is_err() {
                    // the command ended or the link is lost: its last event tells
                    return;
                }
            }
        }
    });
    let events = stream::unfold((channel, false), |(mut channel, over)| async move {
        if over {
            return None;
        }
        let event = match channel.next().await {
            Some(Item::Stdout(bytes)) => ExecEvent::Stdout(bytes),
            Some(Item::Stderr(bytes)) => ExecEvent::Stderr(bytes),
            Some(Item::Exited(known)) => ExecEvent::Exited(known),
            Some(Item::NotExecuted { reason, code }) => ExecEvent::Failed { reason, code },
            // the link is lost, and with it the command; the rest is no part of a terminal
            Some(Item::Failed(_) | Item::Opened | Item::Event(_) | Item::Log(_) | Item::Placed | Item::Torn) | None => {
                ExecEvent::Exited(Known::Unknown)
            }
        };
        let over = matches!(event, ExecEvent::Exited(_) | ExecEvent::Failed { .. });
        Some((event, (channel, over)))
    });
    Ok(Terminal { input, events: events.boxed() })
}

/// An input in pieces that a frame takes.
fn pieces(input: ExecInput) -> Vec<Input> {
    match input {
        ExecInput::Bytes(bytes) if bytes.len() > PIECE => {
            bytes.chunks(PIECE).map(|piece| Input::Bytes(piece.to_vec())).collect()
        }
        other @ (ExecInput::Bytes(_) | ExecInput::Eof | ExecInput::Resize(_) | ExecInput::Signal(_)) => {
            vec![other.into()]
        }
    }
}
