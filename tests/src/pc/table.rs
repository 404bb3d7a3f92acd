//! `docs/process-compose.md`: every case, what was compared, and how it went.

use super::compare::Row;
use super::deviation::Deviation;
use std::fmt::Write;

const HEAD: &str = "\
<!-- Written by `MUSTER_GENERATE=1 cargo test -p muster-e2e --test process_compose`; the same test checks it. -->
# process-compose files

`muster up -f process-compose.yaml` runs a process-compose file as it is: several `-f`, `-n NAMESPACE`, `--no-deps` and
names of processes mean what they mean there. `muster import FILE` writes a `muster.yaml` that says the same, and
`muster import FILE --loss` lists what is kept differently.

The table below is a test. Each case is one of process-compose's own fixtures, or a natural combination of them and of
what else can stand on its command line, run as `muster up -f ...` in a fresh copy, and compared with what
process-compose 1.122.0 itself did (`tests/data/process-compose/expected.json`). Order, commands, folders, environments
and numbers of starts come from marks that the services write themselves; states, exit codes and restarts from
`muster status`; lines from `muster logs`.
";

/// The whole document.
#[must_use]
pub fn document(rows: &[Row]) -> String {
    let mut out = HEAD.to_owned();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line("\n## Where a run differs, and why\n".to_owned());
    line("| deviation | process-compose | here, and why |".to_owned());
    line("|---|---|---|".to_owned());
    for deviation in Deviation::ALL {
        if rows.iter().any(|row| row.deviations.contains(&deviation)) {
            line(format!("| {deviation} | {} | {} |", deviation.there(), deviation.here()));
        }
    }
    let alike = rows.iter().filter(|row| row.deviations.is_empty()).count();
    line(format!("\n## All {} cases, {alike} without any deviation\n", rows.len()));
    line("| case | compared | outcome |".to_owned());
    line("|---|---|---|".to_owned());
    for row in rows {
        let compared: Vec<&str> = row.compared.iter().copied().collect();
        line(format!("| {} | {} | {} |", row.case.replace("process-compose-", ""), compared.join(", "), outcome(row)));
    }
    out
}

/// One word, or the deviations.
#[must_use]
pub fn outcome(row: &Row) -> String {
    let mut out = String::new();
    for difference in &row.differences {
        let _ = write!(out, "DIFFERS: {difference} ");
    }
    let names: Vec<&str> = row.deviations.iter().map(|deviation| deviation.word()).collect();
    match (names.is_empty(), out.is_empty()) {
        (true, true) => "ok".to_owned(),
        (false, true) => format!("ok, but: {}", names.join(", ")),
        (_, false) => out,
    }
}
