//! Numbers that one test at a time has on this machine, for what the kernel knows by name: interfaces, network namespaces.
//!
//! Having a number is listening on an abstract socket of its name: nobody else can, and the kernel takes it back from a test
//! that was killed. What that test had made under the number is still there then; who has the number next removes it first.

use crate::{Result, Trouble};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// A number of ours, as long as the value lives.
#[derive(Debug)]
pub(crate) struct Number {
    value: u32,
    _listens: UnixListener,
}

impl Number {
    /// Takes one that nobody has, of those below `end`. Tests begin at different ones, so that what has just been given
    /// back, with its addresses, is not at once somebody else's.
    ///
    /// # Errors
    /// When all are taken.
    pub(crate) fn take(kind: &str, end: u32) -> Result<Self> {
        let first = std::process::id().wrapping_mul(16) % end;
        (0..end)
            .find_map(|offset| Self::take_this(kind, (first + offset) % end))
            .ok_or_else(|| Trouble::new(format!("all {end} numbers of `{kind}` are taken")))
    }

    fn take_this(kind: &str, value: u32) -> Option<Self> {
        let address = SocketAddr::from_abstract_name(format!("muster-test-{kind}{value}")).ok()?;
        Some(Self { value, _listens: UnixListener::bind_addr(&address).ok()? })
    }

    /// The number.
    pub(crate) fn get(&self) -> u32 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn a_number_is_one_test_s_at_a_time() {
        let kind = format!("t{}-", std::process::id());
        let (one, two) = (Number::take(&kind, 2).expect("one"), Number::take(&kind, 2).expect("another"));
        assert_ne!(one.get(), two.get());
        assert!(Number::take(&kind, 2).is_err());
        let free = one.get();
        drop(one);
        assert_eq!(Number::take(&kind, 2).expect("the one given back").get(), free);
    }
}
