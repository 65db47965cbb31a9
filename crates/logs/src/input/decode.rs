//! Compression, told by the first bytes; and what is no log but something with logs in it.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bzip2::read::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
/// What is read at a time.
const READ_BYTES: usize = 128 << 10;
/// Bytes that most kinds of files are told by.
pub(super) const MAGIC_BYTES: usize = 6;

/// What has logs in it, how it begins, and what gives them out.
const ARCHIVES: [(&str, &[u8], &str); 6] = [
    ("a ZIP archive", b"PK\x03\x04", "unzip -p"),
    ("an empty ZIP archive", b"PK\x05\x06", "unzip -l"),
    ("a 7z archive", &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "7z x -so"),
    ("a RAR archive", b"Rar!\x1a\x07", "unrar p -inul"),
    ("a file of compress", &[0x1f, 0x9d], "zcat"),
    ("a file of lz4", &[0x04, 0x22, 0x4d, 0x18], "lz4 -dc"),
];

/// A text that is read out of what may be compressed.
pub(super) struct Decoded {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) state: Arc<State>,
}

/// What is known of the bytes while they are read.
#[derive(Debug, Default)]
pub(super) struct State {
    is_compressed: bool,
    /// The file itself could not be read.
    has_failed: AtomicBool,
    /// What stands behind the compressed text.
    behind: Mutex<Option<String>>,
}

impl State {
    /// Whether an error says that the compressed bytes are not what they should be.
    pub(super) fn is_damage(&self) -> bool {
        self.is_compressed && !self.has_failed.load(Ordering::Relaxed)
    }

    /// What was found behind the compressed text that does not belong to it.
    pub(super) fn take_behind(&self) -> Option<String> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a file with such a start is, and what gives out the logs in it.
pub(super) fn archive(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = ARCHIVES.iter().find(|(_, magic, _)| head.starts_with(magic)).map(|(what, _, how)| (*what, *how));
    known.or_else(|| (head.get(257..262) == Some(b"ustar")).then_some(("a tar archive", "tar -xOf")))
}

/// The text of a file.
pub(super) fn decode(mut raw: Box<dyn Read + Send>) -> io::Result<Decoded> {
    let mut head = Vec::with_capacity(XZ.len());
    while head.len() < XZ.len() {
        let mut bytes = [0; XZ.len()];
        let wanted = XZ.len() - head.len();
        match raw.read(&mut bytes[..wanted]) {
            Ok(0) => break,
            Ok(len) => head.extend_from_slice(&bytes[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let kind = [GZIP, BZIP2, ZSTD, XZ].into_iter().position(|magic| head.starts_with(magic));
    let state = Arc::new(State { is_compressed: kind.is_some(), ..State::default() });
    let whole = Watched { raw: Cursor::new(head).chain(raw), state: Arc::clone(&state) };
    if kind.is_none() {
        return Ok(Decoded { reader: Box::new(whole), state });
    }
    let whole = BufReader::with_capacity(READ_BYTES, whole);
    let reader: Box<dyn Read + Send> = match kind {
        Some(0) => Box::new(Members { now: Some(GzDecoder::new(whole)), state: Arc::clone(&state) }),
        Some(1) => Box::new(MultiBzDecoder::new(whole)),
        Some(2) => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
        _ => Box::new(XzDecoder::new_multi_decoder(whole)),
    };
    Ok(Decoded { reader, state })
}

/// Notes whether the file itself can't be read.
struct Watched<R> {
    raw: R,
    state: Arc<State>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.raw.read(buffer).inspect_err(|error| {
            let has_failed = error.kind() != io::ErrorKind::Interrupted;
            self.state.has_failed.fetch_or(has_failed, Ordering::Relaxed);
        })
    }
}

/// The members of a gzip file. Zeros behind them fill a block of a tape; anything else is passed over, as gzip does, and
/// said.
struct Members<R: BufRead> {
    now: Option<GzDecoder<R>>,
    state: Arc<State>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.now {
            match member.read(buffer) {
                Ok(0) if !buffer.is_empty() => self.now = self.next()?,
                read => return read,
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Members<R> {
    fn next(&mut self) -> io::Result<Option<GzDecoder<R>>> {
        let Some(mut rest) = self.now.take().map(GzDecoder::into_inner) else { return Ok(None) };
        loop {
            let bytes = rest.fill_buf()?;
            let Some(other) = bytes.iter().position(|byte| *byte != 0) else {
                let zeros = bytes.len();
                if zeros == 0 {
                    return Ok(None);
                }
                rest.consume(zeros);
                continue;
            };
            rest.consume(other);
            if rest.fill_buf()?.first() == Some(&GZIP[0]) {
                return Ok(Some(GzDecoder::new(rest)));
            }
            let mut behind = self.state.behind.lock().unwrap_or_else(PoisonError::into_inner);
            *behind = Some("what stands behind the compressed text is none, and was passed over".to_owned());
            return Ok(None);
        }
    }
}

/// UTF-16 as UTF-8; what is none is replaced.
pub(super) struct Utf16<R> {
    raw: R,
    is_big: bool,
    /// Half a character that came last.
    left: Vec<u8>,
    text: Cursor<Vec<u8>>,
}

impl<R: Read> Utf16<R> {
    /// Of what stands behind the mark of the byte order.
    pub(super) const fn new(raw: R, is_big: bool) -> Self {
        Self { raw, is_big, left: Vec::new(), text: Cursor::new(Vec::new()) }
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut self.left);
        let had = bytes.len();
        bytes.resize(had + READ_BYTES, 0);
        let read = self.raw.read(&mut bytes[had..])?;
        bytes.truncate(had + read);
        if bytes.is_empty() {
            return Ok(false);
        }
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if self.is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let mut whole = bytes.len() & !1;
        if read > 0 && whole >= 2 && (0xd800..0xdc00).contains(&unit(&bytes[whole - 2..])) {
            whole -= 2;
        }
        let units = bytes[..whole].chunks_exact(2).map(unit);
        let mut text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        if read == 0 && whole < bytes.len() {
            text.push(char::REPLACEMENT_CHARACTER);
        } else {
            self.left = bytes.split_off(whole);
        }
        self.text = Cursor::new(text.into_bytes());
        Ok(true)
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.text.read(buffer)?;
            if read > 0 || buffer.is_empty() || !self.more()? {
                return Ok(read);
            }
        }
    }
}
