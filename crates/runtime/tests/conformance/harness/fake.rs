//! The scripted runtime under test.

use futures::future::{BoxFuture, FutureExt as _};
use muster_runtime::conformance::{Harness, Miss, Program, Verdict};
use muster_runtime::fake::{Act, FakeRuntime, Given, Script, StopScript, World};
use muster_runtime::{Capability, Known, Runtime};
use muster_spec::{EnvironmentId, ResolvedCommand, RunId, RuntimeKind, Signal};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A world and what is taken in it.
pub(crate) struct FakeHarness {
    world: Arc<World>,
    ports: Mutex<HashSet<u16>>,
}

impl FakeHarness {
    /// An empty world.
    pub(crate) fn new() -> Self {
        Self { world: World::new(RuntimeKind::Process), ports: Mutex::default() }
    }

    fn any(&self) -> FakeRuntime {
        let scripted = [
            Capability::Usage,
            Capability::Notify,
            Capability::SeparateStreams,
            Capability::Signals,
            Capability::User,
            Capability::LimitFiles,
            Capability::EndsEscapees,
        ];
        FakeRuntime::new(&self.world).with_capabilities(scripted.into())
    }

    fn script(&self, program: &Program) -> Result<Script, Miss> {
        let now = Duration::ZERO;
        let up = Script::runs().prints(now, "up");
        let tells = |what| Script::exits(Duration::from_millis(1), 0).then(now, Act::Tell(what));
        Ok(match program {
            Program::Forever => Script::runs(),
            Program::Marked(mark) => Script::runs().marked(mark),
            Program::Tree(mark) | Program::Escapes(mark) => up.marked(mark),
            Program::SaysUsr1 => {
                let usr1 = Signal::from_number(10).map_err(|error| Miss::Broken(error.to_string()))?;
                up.answers(usr1, "usr1")
            }
            Program::Exits(after, code) => Script::exits(Duration::from_millis(*after), *code),
            Program::DiesBySignal(signal) => Script::runs().then(now, Act::End(Known::Signal(*signal))),
            Program::OnTerm(code) => up.on_stop(StopScript::Exits(now, *code)),
            Program::IgnoresTerm => up.on_stop(StopScript::Ignores),
            Program::Lines(count) => {
                let at = |n: usize| Duration::from_micros(100 * n as u64);
                let lines = (0..*count).fold(Script::runs(), |script, n| script.prints(at(n), &format!("line {n}")));
                lines.then(at(*count), Act::End(Known::Code(0)))
            }
            Program::BothStreams => {
                Script::exits(Duration::from_millis(1), 0).prints(now, "out").then(now, Act::Stderr("err\n".into()))
            }
            Program::Notifies(text) => Script::runs().then(now, Act::Notify(text.clone())),
            Program::Listens(port) if self.ports.lock().expect("the surroundings of the test").insert(*port) => up,
            Program::Listens(_) => Script::exits(now, 9),
            Program::NotThere => Script::fails("`no-such-program` is not found", Some(127)),
            Program::Kibibytes(count) => {
                let line = format!("{}\n", "x".repeat(63));
                let script =
                    (0..*count).fold(Script::runs(), |script, _| script.then(now, Act::Stdout(line.repeat(16))));
                script.then(now, Act::End(Known::Code(0)))
            }
            Program::Says(text) => Script::exits(Duration::from_millis(1), 0).prints(now, text),
            Program::SaysEnvironment => tells(Given::Environment),
            Program::SaysDirectory => tells(Given::Directory),
            Program::SaysUser => tells(Given::User),
            Program::SaysFileLimit => tells(Given::FileLimit),
            Program::Echoes => return Err(Miss::NotApplicable("scripts read nothing".to_owned())),
        })
    }
}

impl Harness for FakeHarness {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn environment(&self) -> EnvironmentId {
        "test-0000002a".parse().expect("the surroundings of the test")
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.any())
    }

    fn successor(&self) -> Result<Arc<dyn Runtime>, String> {
        Ok(self.runtime())
    }

    fn command(&self, run: &RunId, program: &Program) -> Result<ResolvedCommand, Miss> {
        self.world.script(run.instance.service.as_str(), self.script(program)?);
        Ok(ResolvedCommand { argv: vec!["no-such-program".into()], env: Vec::new(), cwd: "/".into() })
    }

    fn observe(&self, mark: &str) -> Result<usize, Miss> {
        Ok(self.world.marked(mark))
    }

    fn kill_supervisor<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Verdict> {
        async move {
            self.world.end(run, Known::SupervisorKilled);
            Ok(())
        }
        .boxed()
    }

    fn doubt<'a>(&'a self, run: &'a RunId, doubt: bool) -> BoxFuture<'a, Verdict> {
        async move {
            self.world.doubt(run, doubt.then_some("doubted"));
            Ok(())
        }
        .boxed()
    }
}
