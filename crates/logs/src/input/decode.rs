//! Compression, told by the first bytes.

use std::io::{self, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The text of a file.
pub(super) fn decode(mut raw: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(4);
    while head.len() < 4 {
        let mut bytes = [0; 4];
        let wanted = 4 - head.len();
        match raw.read(&mut bytes[..wanted]) {
            Ok(0) => break,
            Ok(len) => head.extend_from_slice(&bytes[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let kind = [GZIP, BZIP2, ZSTD].into_iter().position(|magic| head.starts_with(magic));
    let whole = Cursor::new(head).chain(raw);
    Ok(match kind {
        Some(0) => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(128 << 10, whole))),
        Some(1) => Box::new(MultiBzDecoder::new(io::BufReader::with_capacity(128 << 10, whole))),
        Some(_) => Box::new(zstd::stream::read::Decoder::new(whole)?),
        None => Box::new(whole),
    })
}
