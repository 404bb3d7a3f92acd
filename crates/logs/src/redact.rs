//! Secrets become stars before they come near a disk.

/// Overwrites secrets in one stream with `*` of the same length, also where a secret is cut by the borders of what was
/// read. What may be the beginning of a secret is held back until more bytes, or [`Redactor::flush`], decide.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<Box<[u8]>>,
    first: Box<[bool; 256]>,
    held: Vec<u8>,
    /// How many of the held bytes belong to a secret that is complete.
    covered: usize,
}

impl Redactor {
    /// A redactor for these secrets; `None` where there are none, so that nobody pays for them.
    pub fn new(secrets: &[Vec<u8>]) -> Option<Self> {
        let mut kept: Vec<Box<[u8]>> =
            secrets.iter().filter(|secret| !secret.is_empty()).map(|secret| secret.as_slice().into()).collect();
        // longest first: the first that matches covers the most
        kept.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        kept.dedup();
        let mut first = Box::new([false; 256]);
        for secret in &kept {
            first[usize::from(secret[0])] = true;
        }
        (!kept.is_empty()).then_some(Self { secrets: kept, first, held: Vec::new(), covered: 0 })
    }

    /// Whether bytes are held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many of the bytes held back belong to a secret that is complete: what [`Redactor::cover`] takes.
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Tells a new redactor, which goes on where another one was, that the next bytes belong to a secret.
    pub fn cover(&mut self, bytes: usize) {
        self.covered = bytes;
    }

    /// Takes the stream's next bytes and appends what can go out to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(bytes);
        let mut cover = std::mem::take(&mut self.covered);
        for at in 0..joined.len() {
            if self.first[usize::from(joined[at])] {
                match self.look(&joined[at..]) {
                    Found::Nothing => {}
                    Found::Secret(length) => cover = cover.max(at + length),
                    // everything before is decided, from here on it is not
                    Found::Beginning(length) => {
                        cover = cover.max(at + length);
                        out.extend_from_slice(&joined[..at]);
                        self.covered = cover.saturating_sub(at);
                        joined.drain(..at);
                        self.held = joined;
                        return;
                    }
                }
            }
            if at < cover {
                joined[at] = b'*';
            }
        }
        out.append(&mut joined);
        // the buffer goes on to the next call
        self.held = joined;
    }

    /// Gives out what is held back, for the stream's end or because nothing came for long.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        let mut cover = std::mem::take(&mut self.covered);
        for at in 0..held.len() {
            match self.look(&held[at..]) {
                Found::Nothing => {}
                // what was begun is not completed; a shorter secret inside it counts
                Found::Secret(length) | Found::Beginning(length) => cover = cover.max(at + length),
            }
            if at < cover {
                held[at] = b'*';
            }
        }
        out.append(&mut held);
    }

    fn look(&self, bytes: &[u8]) -> Found {
        let mut secret_length = 0;
        let mut beginning = false;
        for secret in &self.secrets {
            if bytes.len() >= secret.len() {
                if bytes.starts_with(secret) {
                    secret_length = secret_length.max(secret.len());
                }
            } else if secret.starts_with(bytes) {
                beginning = true;
            }
        }
        match (beginning, secret_length) {
            // a shorter secret is already sure, a longer one may follow
            (true, length) => Found::Beginning(length),
            (false, 0) => Found::Nothing,
            (false, length) => Found::Secret(length),
        }
    }
}

enum Found {
    Nothing,
    Secret(usize),
    Beginning(usize),
}
