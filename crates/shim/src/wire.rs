//! Bytes in and out: the primitive fields every frame is made of, and frames themselves.
//!
//! All numbers are little-endian. A frame is a `u32` length, then that many bytes: one byte of kind and the body. A
//! body may be longer than the reader expects: fields are only ever appended, so older readers skip what they do not
//! know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

/// The longest frame that is accepted, kind and body: enough for an environment of several MiB.
pub const MAX_FRAME: usize = 8 << 20;

/// Why bytes are not a frame, or a frame's body not what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length says zero or more than [`MAX_FRAME`].
    #[error("frame of {length} bytes, allowed are 1 to {MAX_FRAME}")]
    Length {
        /// The length that was read.
        length: usize,
    },
    /// The body ends inside a field.
    #[error("frame ends inside `{field}`")]
    Short {
        /// The field that is cut off.
        field: &'static str,
    },
    /// A field has a value that has no meaning.
    #[error("field `{field}` has the meaningless value {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it held.
        value: u64,
    },
    /// A text field is not UTF-8.
    #[error("field `{field}` is not utf-8")]
    Text {
        /// The field.
        field: &'static str,
    },
    /// The kind belongs to the other direction, or comes at a time when it must not.
    #[error("frame of kind {kind} is not expected here")]
    Unexpected {
        /// The frame's kind.
        kind: u8,
    },
}

/// One frame as it lies in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// What the body is.
    pub kind: u8,
    /// The body's bytes.
    pub body: &'a [u8],
}

/// Takes the first frame off `bytes`: the frame and how many bytes it used, or `None` where it is not complete yet.
///
/// # Errors
/// [`WireError::Length`] as soon as the length is known to be wrong; the connection cannot be used any more.
pub fn split_frame(bytes: &[u8]) -> Result<Option<(RawFrame<'_>, usize)>, WireError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length == 0 || length > MAX_FRAME {
        return Err(WireError::Length { length });
    }
    match rest.get(..length) {
        Some([kind, body @ ..]) => Ok(Some((RawFrame { kind: *kind, body }, 4 + length))),
        Some([]) | None => Ok(None),
    }
}

/// Collects bytes of a connection and gives out frames.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    used: usize,
}

impl FrameBuffer {
    /// Adds what was read.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete frame, if there is one.
    ///
    /// # Errors
    /// As [`split_frame`].
    pub fn next_frame(&mut self) -> Result<Option<RawFrame<'_>>, WireError> {
        let at = self.used;
        let Some((_, used)) = split_frame(&self.bytes[at..])? else {
            if at == self.bytes.len() {
                // a connection at rest keeps no memory
                self.bytes = Vec::new();
                self.used = 0;
            }
            return Ok(None);
        };
        self.used += used;
        Ok(split_frame(&self.bytes[at..])?.map(|(frame, _)| frame))
    }

    /// Bytes that are held and not given out yet.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.used
    }
}

/// Writes fields to the end of a buffer.
#[derive(Debug)]
pub struct Put<'a>(pub &'a mut Vec<u8>);

impl Put<'_> {
    /// Appends one frame whose body `fill` writes.
    pub fn frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Put<'_>)) {
        let at = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, kind]);
        fill(&mut Put(out));
        let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    /// A truth value as one byte.
    pub fn flag(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }
    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Four bytes, signed.
    pub fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Bytes behind their `u32` length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(value);
    }
    /// Text behind its length.
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
    /// A system string (path, argument, variable) behind its length.
    pub fn os(&mut self, value: &OsStr) {
        self.bytes(value.as_bytes());
    }
    /// A time span in nanoseconds.
    pub fn span(&mut self, value: Duration) {
        self.u64(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }
    /// Whether there is a value, then the value.
    pub fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }
    /// How many, then each.
    pub fn list<T>(&mut self, values: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        for value in values {
            put(self, value);
        }
    }
}

/// Reads fields from the front of a body.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a>(pub &'a [u8]);

impl<'a> Get<'a> {
    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(WireError::Short { field })?;
        self.0 = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Short { field })?;
        self.0 = rest;
        Ok(*head)
    }
    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        Ok(self.array::<1>(field)?[0])
    }
    /// A truth value.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, WireError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Value { field, value: value.into() }),
        }
    }
    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }
    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }
    /// Four bytes, signed.
    pub fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        Ok(i32::from_le_bytes(self.array(field)?))
    }
    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }
    /// Bytes behind their length.
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.u32(field)? as usize;
        self.take(length, field)
    }
    /// Text behind its length.
    pub fn text(&mut self, field: &'static str) -> Result<String, WireError> {
        std::str::from_utf8(self.bytes(field)?).map(str::to_owned).map_err(|_| WireError::Text { field })
    }
    /// A system string behind its length.
    pub fn os(&mut self, field: &'static str) -> Result<OsString, WireError> {
        Ok(OsString::from_vec(self.bytes(field)?.to_vec()))
    }
    /// A time span.
    pub fn span(&mut self, field: &'static str) -> Result<Duration, WireError> {
        Ok(Duration::from_nanos(self.u64(field)?))
    }
    /// A value that may be missing.
    pub fn option<T>(
        &mut self,
        field: &'static str,
        get: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        if self.flag(field)? { get(self).map(Some) } else { Ok(None) }
    }
    /// How many, then each. The count is not believed: nothing is reserved for it.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        mut get: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.u32(field)?;
        let mut values = Vec::new();
        for _ in 0..count {
            if self.0.is_empty() {
                return Err(WireError::Short { field });
            }
            values.push(get(self)?);
        }
        Ok(values)
    }
}
