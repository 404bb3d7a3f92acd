//! What is asked for must be allowed: starts, stops and signals.

use super::oracle::{Checked, Mind, Oracle, Told, broken, role};
use super::world::World;
use muster_core::{Effect, Exit};
use muster_spec::{Backoff, InstanceId, OnRestart, RestartOn, Role, ServiceKind, ServiceSpec, Until};

impl Oracle {
    /// One effect, before it is executed.
    pub(crate) fn effect(&mut self, effect: &Effect, world: &World, escalated: bool) -> Checked {
        match effect {
            Effect::Start { instance, run } => {
                self.may_start(instance, *run, world)?;
                let spec = self.spec(instance);
                let startup = spec.is_some_and(|spec| spec.probes.startup.is_some());
                let grace = spec.map_or(0, |spec| nanos(spec.stop.grace.get()));
                let mind = self.minds.entry(instance.clone()).or_default();
                mind.runs.push(Told { number: *run, startup, grace, began: world.now, ..Told::default() });
                mind.was_ready = false;
                Ok(())
            }
            Effect::Stop { instance, run } => {
                // asked once more, after a daemon start or a broken link: the order was that of the first time
                let again = self.minds.get(instance).is_some_and(|mind| {
                    mind.runs.iter().any(|told| told.number == *run && told.asked_to_stop.is_some())
                });
                self.in_order(instance, escalated || again)?;
                self.hands_on(instance, *run, world.now, false)
            }
            Effect::Kill { instance, run } => self.hands_on(instance, *run, world.now, true),
            Effect::Record(_)
            | Effect::Recover { .. }
            | Effect::Probe { .. }
            | Effect::Forget { .. }
            | Effect::Succeeded { .. }
            | Effect::Reply { .. } => Ok(()),
        }
    }

    /// Only what is verified is signalled.
    fn hands_on(&mut self, id: &InstanceId, run: u64, now: u64, kill: bool) -> Checked {
        let mind = self.minds.entry(id.clone()).or_default();
        let Some(told) = mind.runs.iter_mut().rfind(|told| told.number == run) else {
            return broken("a signal goes to a run that was started", format!("{id} run {run}"));
        };
        let lost = told.lost;
        told.asked_to_stop = Some(now);
        told.killed |= kill;
        mind.disturbed_at = now;
        if lost { broken("what is lost is not signalled", format!("{id} run {run}")) } else { Ok(()) }
    }

    fn in_order(&self, id: &InstanceId, escalated: bool) -> Checked {
        if escalated {
            return Ok(());
        }
        for (other, mind) in &self.minds {
            let needs = self.needs.get(&other.service).map_or(&[][..], Vec::as_slice);
            let needs_it = *other != *id && needs.iter().any(|need| need.service == id.service);
            let alive = mind.runs.last().is_some_and(|told| told.gone.is_none() && !told.lost);
            if needs_it && alive && !mind.wanted {
                return broken("dependants stop first", format!("{id} before {other}"));
            }
            let with = self.spec(other).is_some_and(|spec| {
                spec.needs.iter().any(|need| need.service == id.service && need.restart == OnRestart::With)
            });
            let comes_back = self.spec(id).is_some() && self.minds.get(id).is_some_and(|mind| mind.wanted);
            if with && alive && comes_back {
                return broken("what is restarted with another stops before it", format!("{id} before {other}"));
            }
        }
        Ok(())
    }

    fn may_start(&mut self, id: &InstanceId, run: u64, world: &World) -> Checked {
        if let Some(at) = world.latest.get(id).filter(|at| world.runs[**at].live()) {
            let other = world.runs[*at].number;
            return broken("never two live runs", format!("{id} run {run} beside run {other}"));
        }
        let mind = self.minds.get(id).cloned().unwrap_or_default();
        if mind.runs.iter().any(|told| told.number >= run) {
            return broken("a run number is used once", format!("{id} run {run}"));
        }
        if !mind.wanted {
            return broken("only what is wanted is started", format!("{id} run {run}"));
        }
        let Some(spec) = self.spec(id).cloned() else {
            return broken("only what the stack has is started", id.to_string());
        };
        for need in &spec.needs {
            let excused = need.restart == OnRestart::Ignore && mind.begun;
            let replicas = self.stack().and_then(|s| s.services.get(&need.service)).map_or(0, |s| s.replicas);
            for replica in (1..=replicas).filter(|_| !excused) {
                let on = InstanceId { service: need.service.clone(), replica };
                let other = self.minds.get(&on).cloned().unwrap_or_default();
                if mind.no_deps && !other.wanted || self.met(&on, &other, need.until) {
                    continue;
                }
                if need.optional {
                    if self.can_come(&on, &other) {
                        return broken(
                            "optional needs are waited for while they can come",
                            format!("{id} run {run} needs {on}"),
                        );
                    }
                    continue;
                }
                return broken("needs hold at every start", format!("{id} run {run} needs {on} {:?}", need.until));
            }
        }
        self.in_time(id, &spec, world.now)
    }

    fn met(&self, on: &InstanceId, mind: &Mind, until: Until) -> bool {
        if mind.satisfied {
            return true;
        }
        let Some(told) = mind.runs.last().filter(|told| told.number > mind.stale) else { return false };
        let Some(spec) = self.spec(on) else { return false };
        let succeeded = matches!(&told.gone, Some((_, Some(Exit::Code(code)))) if spec.succeeded(*code));
        let alive = told.started.is_some() && told.gone.is_none() && !told.lost && mind.wanted;
        let probe = |r: Role| spec.probes.get(r).is_none() || told.probes[role(r)].yes;
        let job = spec.kind == ServiceKind::Job;
        match until {
            Until::Started => alive || succeeded,
            Until::Ready => alive && probe(Role::Startup) && probe(Role::Ready) || job && succeeded,
            Until::Healthy => {
                alive && probe(Role::Startup) && probe(Role::Ready) && probe(Role::Live) || job && succeeded
            }
            Until::Done => succeeded,
            Until::Exited => told.gone.is_some(),
        }
    }

    /// Surely on its way, or able to start at once.
    fn can_come(&self, on: &InstanceId, mind: &Mind) -> bool {
        let free = self.spec(on).is_some_and(|spec| spec.needs.is_empty());
        mind.wanted
            && match mind.runs.last() {
                Some(told) if told.gone.is_none() => !told.lost,
                Some(told) => told.number <= mind.stale && free && !mind.satisfied,
                None => free && !mind.satisfied,
            }
    }

    /// Whether something after which an instance is restarted with another may have happened since: to it or to what it
    /// goes with, directly or not.
    fn disturbed(&self, id: &InstanceId, since: u64) -> bool {
        let Some(spec) = self.spec(id) else { return true };
        let edges = self.minds.get(id).is_some_and(|mind| mind.edges_at >= since);
        let mut with = spec.needs.iter().filter(|need| need.restart == OnRestart::With);
        edges
            || with.any(|need| {
                self.minds.iter().filter(|(on, _)| on.service == need.service).any(|(on, mind)| {
                    let probes = self.spec(on).map(|spec| spec.probes.clone()).unwrap_or_default();
                    let hasty = [Role::Startup, Role::Ready].into_iter().any(|r| {
                        let late = mind.runs.last().is_none_or(|told| !told.probes[role(r)].yes);
                        late && probes.get(r).is_some_and(|probe| probe.within.is_some())
                    });
                    mind.disturbed_at >= since || hasty || self.disturbed(on, since)
                })
            })
    }

    /// Whether there is a restart at all, the wait before it, and the number of them.
    fn in_time(&mut self, id: &InstanceId, spec: &ServiceSpec, now: u64) -> Checked {
        let rebooted_at = self.rebooted_at;
        let mind = self.minds.entry(id.clone()).or_default();
        let Some(last) = mind.runs.last().cloned() else { return Ok(()) };
        let Some((end, exit)) = last.gone.clone() else { return Ok(()) };
        let policy = &spec.restart;
        let per = policy.limit.as_ref().map_or(60_000_000_000, |w| nanos(w.per.get()));
        if last.started.is_some_and(|started| end - started >= per) {
            mind.streak = 0;
        }
        // replaced on request: no question of the policy
        let asked = last.number <= mind.stale || last.excused || end <= mind.touched_at || mind.disturbed_at > end;
        if asked || last.started.is_none() && !last.failed || end <= rebooted_at || self.disturbed(id, last.began) {
            return Ok(());
        }
        let stopped = last.asked_to_stop.is_some();
        if stopped && spec.needs.iter().any(|need| need.restart == OnRestart::With) {
            return Ok(());
        }
        let probes = &spec.probes;
        let timed = |r: Role| probes.get(r).is_some_and(|probe| r == Role::Live || probe.within.is_some());
        let trouble = stopped || [Role::Startup, Role::Ready, Role::Live].into_iter().any(timed);
        let success = !trouble && matches!(&exit, Some(Exit::Code(code)) if spec.succeeded(*code));
        if policy.on == RestartOn::Never || policy.on == RestartOn::Failure && success {
            let promise = match spec.kind {
                ServiceKind::Job if success => "a job that is done is not run again",
                ServiceKind::Job | ServiceKind::Service => "only what the policy says is restarted",
            };
            return broken(promise, format!("{id} after run {}", last.number));
        }
        let mind = self.minds.entry(id.clone()).or_default();
        let least = match &policy.backoff {
            Backoff::Constant(wait) => nanos(wait.get()),
            Backoff::Exponential { .. } if mind.streak == 0 => 0,
            Backoff::Exponential { min, max } => {
                let (min, max) = (nanos(min.get()), nanos(max.get()));
                let longest = min.saturating_mul(1 << mind.streak.min(30)).min(max);
                (longest / 2).max(min.min(max))
            }
        };
        mind.streak += 1;
        mind.made += 1;
        mind.restarts.push(end);
        let recent = mind.restarts.iter().filter(|at| end - **at < per).count();
        if now < end + least {
            let (waited, least) = ((now - end) / 1_000_000, least / 1_000_000);
            return broken("backoff is waited for", format!("{id}: {waited} ms instead of {least} ms"));
        }
        if policy.limit.as_ref().is_some_and(|window| recent > window.count as usize) {
            return broken("the circuit opens", format!("{id}: {recent} restarts in the window"));
        }
        if policy.max.is_some_and(|max| mind.made > max) {
            return broken("restarts are limited", format!("{id}: {}", mind.made));
        }
        Ok(())
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
