//! The reader of chunks, over plain, compressed and broken streams: what a stream holds is handed out once and in order, in
//! whole lines whose numbers and offsets are right, in bounded memory.
#![no_main]

use std::io::Read;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::logs::lines_in;
use visitlog_logs::ChunkReader;

/// Hands out a few bytes at a time.
struct Trickle {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(self.step).min(self.bytes.len() - self.at);
        buffer[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[size, step, look], bytes)) = data.split_first_chunk::<3>() else { return };
    let chunk_bytes = 1 + usize::from(size);
    let name: Arc<str> = "text".into();
    let stream = Trickle { bytes: bytes.to_vec(), at: 0, step: 1 + usize::from(step) };
    let Ok(mut reader) = ChunkReader::open(&name, Box::new(stream)) else { return };
    if look & 1 == 1 {
        let Ok(sample) = reader.sample() else { return };
        assert!(sample.len() <= visitlog_logs::limits::SAMPLE_BYTES);
    }
    // What was looked at as a sample may be longer than a chunk; then its lines are not too long.
    let mut reader = if look & 1 == 1 { reader } else { reader.with_chunk_bytes(chunk_bytes) };
    let is_plain = !bytes.starts_with(&[0x1f, 0x8b])
        && !bytes.starts_with(b"BZh")
        && !bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let (mut offset, mut line) = (reader.position().offset, 1);
    let (mut buffer, mut lines) = (Vec::new(), 0);
    loop {
        let Ok(Some(chunk)) = reader.next_chunk(std::mem::take(&mut buffer)) else { break };
        if let Some(reject) = &chunk.too_long {
            assert_eq!((reject.offset, reject.line), (offset, line));
            line += 1;
            lines += 1;
        } else {
            assert_eq!(chunk.start.offset, offset);
        }
        assert_eq!(chunk.start.line, line);
        for found in chunk.lines() {
            assert_eq!(found.number, line);
            if is_plain {
                assert!(bytes[found.offset as usize..].starts_with(found.bytes));
            }
            line += 1;
            lines += 1;
        }
        offset = chunk.start.offset + chunk.bytes.len() as u64;
        assert_eq!((reader.position().offset, reader.position().line), (offset, line));
        buffer = chunk.bytes;
    }
    if is_plain {
        let text = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
        assert_eq!(lines, lines_in(text));
        assert_eq!(offset, bytes.len() as u64);
    }
});
