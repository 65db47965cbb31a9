//! Files, patterns and compression.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use visitlog_logs::format::Directives;
use visitlog_logs::input::Start;
use visitlog_logs::{Chunk, ChunkReader, Input, InputError, Reason};

use crate::chunks_of;

fn all(mut chunks: ChunkReader) -> Vec<Chunk> {
    std::iter::from_fn(|| chunks.next_chunk(Vec::new()).expect("read")).collect()
}

fn text_of(input: &Input) -> Vec<u8> {
    all(input.open().expect("opened")).into_iter().flat_map(|chunk| chunk.bytes).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

fn xz(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(text, 1).read_to_end(&mut packed).expect("memory");
    packed
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 1).expect("encoded")
}

#[test]
fn compression_is_told_by_content_and_streams_follow_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, encode) in [("a.gz", gzip as fn(&[u8]) -> Vec<u8>), ("b.log", bzip2), ("c.txt", zstd), ("d.log", xz)] {
        let path = folder.path().join(name);
        std::fs::write(&path, [encode(b"one\ntwo\n"), encode(b"three\nfo"), encode(b"ur")].concat()).expect("written");
        assert_eq!(text_of(&Input::file(path)), b"one\ntwo\nthree\nfour", "{name}");
    }
    let plain = folder.path().join("e.gz");
    std::fs::write(&plain, b"plain\n").expect("written");
    assert_eq!(text_of(&Input::file(plain)), b"plain\n");
    let empty = folder.path().join("f.log");
    std::fs::write(&empty, b"").expect("written");
    assert_eq!(text_of(&Input::file(empty)), b"");
}

#[test]
fn a_cut_archive_hands_out_what_it_has_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.gz");
    let text: Vec<u8> = (0..5_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let whole = gzip(&text);
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let mut chunks = Input::file(&path).open().expect("opened");
    let chunk = chunks.next_chunk(Vec::new()).expect("what there is").expect("a chunk");
    assert!(chunk.bytes.starts_with(b"line 0\nline 1\n"));
    assert!(chunk.bytes.ends_with(b"\n"), "only whole lines");
    assert!(chunks.next_chunk(Vec::new()).expect("the end").is_none());
    let damage = chunks.damage().expect("cut");
    assert!(damage.starts_with("cut short or damaged behind byte "), "{damage}");
}

#[test]
fn what_stands_behind_a_gzip_file_is_passed_over_and_said_unless_it_is_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = gzip(b"one\ntwo");
    for (name, behind, is_said) in [("zeros.gz", &[0; 700][..], false), ("other.gz", b"\0\0<html>", true)] {
        let path = folder.path().join(name);
        std::fs::write(&path, [&packed, &[0; 3][..], &packed, behind].concat()).expect("written");
        let mut chunks = Input::file(&path).open().expect("opened");
        let mut text = Vec::new();
        while let Some(chunk) = chunks.next_chunk(Vec::new()).expect("read") {
            text.extend(chunk.bytes);
        }
        assert_eq!(text, b"one\ntwoone\ntwo", "{name}");
        assert_eq!(chunks.damage().is_some(), is_said, "{name}");
    }
}

#[test]
fn an_archive_is_called_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = vec![0; 1_024];
    tar[257..262].copy_from_slice(b"ustar");
    let zip = b"PK\x03\x04\x14\0and so on".to_vec();
    for (name, bytes, what) in
        [("a.tar.gz", gzip(&tar), "a tar archive found; `tar -xOf"), ("a.zip", zip, "a ZIP archive found; `unzip -p")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let error = match Input::file(&path).open() {
            Ok(mut chunks) => chunks.sample().expect_err("no log").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn patterns_find_files_in_order_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["u_ex2.log", "u_ex1.log", "other.log", "u_ex[3].log"] {
        std::fs::write(folder.path().join(name), b"x\n").expect("written");
    }
    std::fs::create_dir(folder.path().join("u_ex9.log")).expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let found = Input::find(&[at("u_ex*.log"), at("other.log"), at("u_ex1.log"), at("u_ex[3].log")]).expect("found");
    let names: Vec<_> = found.iter().map(|input| Path::new(&**input.name()).file_name().expect("a name")).collect();
    assert_eq!(names, ["u_ex1.log", "u_ex2.log", "u_ex[3].log", "other.log"]);
    assert_eq!(Input::find(&["-"]).expect("standard input")[0].path(), None);

    let missing = Input::find(&[at("no*.log")]).expect_err("none").to_string();
    assert!(missing.starts_with("pattern ") && missing.ends_with("no*.log: no file found"), "{missing}");
    assert!(matches!(Input::find(&["a***b"]), Err(InputError::Pattern { pattern, .. }) if pattern == "a***b"));
    let unreadable = Input::file(folder.path().join("gone.log")).open().expect_err("gone").to_string();
    assert!(unreadable.ends_with("gone.log"), "{unreadable}");
}

#[test]
fn a_mark_of_the_byte_order_is_no_text() {
    let chunk = all(chunks_of(b"\xef\xbb\xbfone\ntwo")).remove(0);
    assert_eq!(chunk.bytes, b"one\ntwo");
    assert_eq!((chunk.start.offset, chunk.start.line), (3, 1));
    assert!(chunk.is_last_line_open());
    let text = "one \u{fc}\u{1f600}\ntwo";
    for is_big in [false, true] {
        let bytes = |unit: u16| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        let mut packed: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect();
        assert_eq!(all(chunks_of(&packed)).remove(0).bytes, text.as_bytes());
        packed.pop();
        assert_eq!(all(chunks_of(&packed)).remove(0).bytes, "one \u{fc}\u{1f600}\ntw\u{fffd}".as_bytes());
    }
}

#[test]
fn a_line_that_is_too_long_is_one_reject_and_the_rest_is_read() {
    let text = [&b"first\n"[..], &[b'x'; 100], b"\nsecond\nthird\n", &[b'y'; 65], b"\n"].concat();
    let chunks = all(chunks_of(&text).with_chunk_bytes(64));
    let rejects: Vec<_> = chunks.iter().filter_map(|chunk| chunk.too_long.as_ref()).collect();
    let seen: Vec<_> = rejects.iter().map(|reject| (reject.line, reject.offset, reject.reason)).collect();
    assert_eq!(seen, [(2, 6, Reason::TooLong { bytes: 100 }), (5, 120, Reason::TooLong { bytes: 65 })]);
    assert!(rejects[0].bytes.iter().all(|byte| *byte == b'x'));
    let lines: Vec<_> = chunks.iter().flat_map(|chunk| chunk.lines()).map(|line| (line.number, line.bytes)).collect();
    assert_eq!(lines, [(1, &b"first"[..]), (3, b"second"), (4, b"third")]);
}

#[test]
fn a_sample_is_whole_lines_and_nothing_is_lost_by_it() {
    let text: Vec<u8> = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let mut chunks = chunks_of(&text);
    let sample = chunks.sample().expect("read").to_vec();
    assert!(sample.len() > 100_000 && sample.ends_with(b"\n") && text.starts_with(&sample));
    assert_eq!(chunks.sample().expect("again"), sample);
    let read: Vec<u8> = all(chunks).into_iter().flat_map(|chunk| chunk.bytes).collect();
    assert_eq!(read, text);
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let text = b"#Fields: c-ip\n192.0.2.1\n#Fields: s-ip c-ip\n10.0.0.1 192.0.2.2\n";
    let mut chunks = chunks_of(text).with_chunk_bytes(30);
    let first = chunks.next_chunk(Vec::new()).expect("read").expect("a chunk");
    let start: Start = chunks.position().clone();
    assert_eq!(start.offset, first.bytes.len() as u64);
    let name: Arc<str> = "x.log".into();
    let rest = std::io::Cursor::new(text[first.bytes.len()..].to_vec());
    let again = all(ChunkReader::resume(&name, Box::new(rest), start));
    let beyond = all(chunks);
    assert_eq!(
        again.iter().flat_map(|chunk| &chunk.bytes).collect::<Vec<_>>(),
        beyond.iter().flat_map(|chunk| &chunk.bytes).collect::<Vec<_>>()
    );
    assert_eq!(again[0].start, beyond[0].start);
    assert_eq!(again[0].start.directives.names().collect::<Vec<_>>(), ["c-ip"]);
}

#[test]
fn directives_say_the_same_when_they_are_read_again() {
    for text in [
        "#Software: Microsoft IIS\r\n#Version: 1.0\r\n#Date: 2024-02-29 10:00:00\r\n#Fields: date  time\tc-ip \r\n",
        "#Start-Date: 2014-11-18 00:00:00.128\n#Fields:\n",
        "#fields\tts\tid.orig_h\n",
        "#Fields: cs(\u{fffd}) #Date: x\n",
        "",
    ] {
        let read = |text: &str| {
            let mut directives = Directives::default();
            for line in text.lines() {
                directives.read(line.as_bytes());
            }
            directives
        };
        let directives = read(text);
        assert_eq!(read(&directives.to_text()), directives, "{text:?}");
        assert_eq!(directives == Directives::default(), text.is_empty());
    }
}
