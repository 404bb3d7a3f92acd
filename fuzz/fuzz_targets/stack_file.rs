//! Any bytes as a muster.yaml: a stack or problems. What loads is printed and loads to the same stack.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_config::{Loaded, Memory, Problems, Request, load, to_yaml};

fn try_load(bytes: &[u8]) -> Result<Loaded, Problems> {
    let host = Memory::default().with("/w/muster.yaml", bytes);
    load(&Request { cwd: "/w".into(), ..Request::default() }, &host)
}

fuzz_target!(|bytes: &[u8]| match try_load(bytes) {
    Ok(loaded) => {
        let text = to_yaml(&loaded.stack);
        let again = try_load(text.as_bytes()).unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
        assert_eq!(again.stack, loaded.stack, "{text}");
    }
    Err(problems) => {
        assert!(problems.has_errors());
        let _words = problems.render(false);
    }
});
