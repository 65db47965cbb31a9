//! Bytes in and out: what payloads are made of.

use std::net::IpAddr;

use crate::Timestamp;

/// Why a payload can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// It ends too early.
    #[error("{what} expected, the end found")]
    End {
        /// What was expected.
        what: &'static str,
    },
    /// A code that this program does not know.
    #[error("a known {what} expected, code {found} found")]
    Code {
        /// Of what.
        what: &'static str,
        /// The code.
        found: u64,
    },
    /// Bytes that are no text.
    #[error("text expected as {what}, other bytes found")]
    Text {
        /// As what.
        what: &'static str,
    },
    /// A record of another kind.
    #[error("a record of kind {expected} expected, one of kind {found} found")]
    Kind {
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

/// Appends 8 bytes.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends 16 bytes.
pub fn put_u128(out: &mut Vec<u8>, value: u128) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a moment.
pub fn put_moment(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&at.micros().to_le_bytes());
}

/// Appends a number, seven bits a byte.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left of a payload.
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of a payload.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// So many bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(CodecError::End { what })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(CodecError::End { what })?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// When it is not there.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A byte that says yes or no.
    ///
    /// # Errors
    /// When it is not there.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, CodecError> {
        Ok(self.u8(what)? != 0)
    }

    /// 8 bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// 16 bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn u128(&mut self, what: &'static str) -> Result<u128, CodecError> {
        Ok(u128::from_le_bytes(self.array(what)?))
    }

    /// A moment.
    ///
    /// # Errors
    /// When it is not there.
    pub fn moment(&mut self) -> Result<Timestamp, CodecError> {
        Ok(Timestamp::from_micros(i64::from_le_bytes(self.array("a moment")?)))
    }

    /// A number of seven bits a byte.
    ///
    /// # Errors
    /// When it is not there.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for (i, &byte) in self.bytes.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f).unbounded_shl(7 * i as u32);
            if byte < 0x80 {
                self.bytes = &self.bytes[i + 1..];
                return Ok(value);
            }
        }
        Err(CodecError::End { what })
    }

    /// A small number; one beyond 65,535 counts as that.
    ///
    /// # Errors
    /// When it is not there.
    pub fn small(&mut self, what: &'static str) -> Result<u16, CodecError> {
        self.varint(what).map(|number| u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// A number of things of at least `each` bytes: no more than there can be.
    ///
    /// # Errors
    /// When it is not there.
    pub fn count(&mut self, each: usize, what: &'static str) -> Result<usize, CodecError> {
        let count = self.varint(what)?;
        let possible = self.bytes.len() / each;
        usize::try_from(count).ok().filter(|count| *count <= possible).ok_or(CodecError::End { what })
    }

    /// A varint length and that many bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], CodecError> {
        let len = usize::try_from(self.varint(what)?).map_err(|_| CodecError::End { what })?;
        self.take(len, what)
    }

    /// The same as text.
    ///
    /// # Errors
    /// When it is not there.
    pub fn text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes(what)?).map_err(|_| CodecError::Text { what })
    }

    /// The same, where it is there at all.
    ///
    /// # Errors
    /// When it is not there.
    pub fn text_if(&mut self, is_there: bool, what: &'static str) -> Result<Option<Box<str>>, CodecError> {
        if is_there { Ok(Some(self.text(what)?.into())) } else { Ok(None) }
    }

    /// Text with a length of four bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn long_text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        let len = u32::from_le_bytes(self.array(what)?);
        std::str::from_utf8(self.take(len as usize, what)?).map_err(|_| CodecError::Text { what })
    }

    /// An IP address.
    ///
    /// # Errors
    /// When it is not there.
    pub fn address(&mut self) -> Result<IpAddr, CodecError> {
        match self.u8("address")? {
            4 => Ok(IpAddr::from(self.array::<4>("address")?)),
            6 => Ok(IpAddr::from(self.array::<16>("address")?)),
            found => Err(CodecError::Code { what: "kind of address", found: u64::from(found) }),
        }
    }
}
