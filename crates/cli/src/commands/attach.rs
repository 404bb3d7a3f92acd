//! `muster attach`.

use crate::commands::session::{Mode, converse, ours, size_of_terminal};
use crate::context::Context;
use crate::failure::Outcome;
use clap::Args;
use muster_engine::documents::ExecRequest;
use muster_spec::Stack;

/// Connect this terminal to a service. ctrl-P ctrl-Q leaves; the service runs on.
///
/// One terminal writes, all others read.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The service, or one replica as `name#2`.
    #[arg(add = crate::complete::services())]
    service: String,
}

impl Attach {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        ours(self.converse(context).await, context)
    }

    async fn converse(self, context: &Context) -> Outcome {
        let size = size_of_terminal();
        let request = ExecRequest {
            select: self.service,
            rows: size.map(|(rows, _)| rows),
            columns: size.map(|(_, columns)| columns),
            ..ExecRequest::default()
        };
        let id = context.environment()?;
        let client = context.client()?;
        let mode = match size {
            None => Mode::Plain,
            // keys would go nowhere, ctrl-C among them
            Some(_) if !has_terminal(&client.stack(&id).await?, &request.select) => Mode::Listening,
            Some(_) => Mode::RawDetachable,
        };
        let session = client.attach(&id, &request).await?;
        match mode {
            Mode::Listening => context.note("it has no terminal (`tty: true`): only what it writes; ctrl-C leaves"),
            Mode::RawDetachable => context.note("attached; ctrl-P ctrl-Q leaves"),
            Mode::Raw | Mode::Plain => {}
        }
        converse(session, mode).await
    }
}

/// Whether the selected service has a terminal; what cannot be told from its words is taken for one that has.
fn has_terminal(stack: &Stack, select: &str) -> bool {
    let name = select.split('#').next().unwrap_or(select);
    let found = stack.services.values().find(|s| s.name.as_str() == name || s.aliases.iter().any(|a| a == name));
    found.is_none_or(|service| service.tty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_spec::{CommandSpec, ServiceName, ServiceSpec, StackName};

    #[test]
    fn a_terminal_is_known_by_name_alias_and_replica() {
        let service = |name: &str| {
            ServiceSpec::process(ServiceName::new(name).unwrap(), CommandSpec::Exec(vec!["x".into()]), "/")
        };
        let (plain, mut chat) = (service("db"), service("chat"));
        chat.tty = true;
        chat.aliases.push("talk".into());
        let stack = Stack::of(StackName::new("s").unwrap(), "/", [plain, chat]);
        for (select, there) in [("db", false), ("db#2", false), ("chat", true), ("talk", true), ("unknown", true)] {
            assert_eq!(has_terminal(&stack, select), there, "{select}");
        }
    }
}
