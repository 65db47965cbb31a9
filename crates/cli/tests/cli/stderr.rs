//! Standard error that nobody reads, and what stands in it.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::server::{eventually, visitlog};

/// An upstream that speaks no HTTP.
fn babbling() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"blah\r\n\r\n");
        }
    });
    address
}

/// A server whose standard error is a pipe that is full before it says anything.
struct Piped {
    child: Child,
    site: SocketAddr,
    stderr: PipeReader,
    _data: TempDir,
}

/// What a pipe of Linux holds.
const PIPE_BYTES: usize = 65_536;

impl Piped {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (stderr, mut into) = std::io::pipe().unwrap();
        into.write_all(&[b'.'; PIPE_BYTES]).unwrap();
        let mut child = visitlog()
            .args(["serve", "--upstream", &format!("http://{}", babbling()), "--workers", "1"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env_remove("NO_COLOR")
            .stdout(Stdio::piped())
            .stderr(into)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (told, line) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| told.send(line))
        });
        let line = line.recv_timeout(Duration::from_secs(20)).inspect_err(|_| child.kill().unwrap());
        let line = line.expect("it does not even start");
        let site = line.rsplit("http://").next().and_then(|text| text.trim().parse().ok()).expect("an address");
        Self { child, site, stderr, _data: data }
    }

    /// Whether so many requests get their 502, each within seconds.
    fn answers(&self, requests: usize) -> bool {
        (0..requests).all(|_| {
            let mut client = TcpStream::connect(self.site).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.write_all(b"GET /some/page HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 502 ")
        })
    }

    fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    fn wait_for_its_end(&mut self) {
        eventually("its end", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nobody_reads_it_and_the_site_goes_on_and_ends() {
    let mut server = Piped::start();
    assert!(server.answers(300), "the site stands still");
    server.ask_to_end();
    server.wait_for_its_end();
}

#[test]
fn a_flood_of_one_kind_is_a_few_lines_without_colours() {
    let mut server = Piped::start();
    assert!(server.answers(300), "the site stands still");
    server.ask_to_end();
    let mut said = String::new();
    server.stderr.read_to_string(&mut said).unwrap();
    server.wait_for_its_end();
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert_eq!(said.matches("upstream: no answer").count(), 10, "{said}");
    assert!(said.contains("ended; open sessions go on"), "{said}");
}

#[test]
fn a_reader_that_went_away_does_no_harm() {
    let mut server = Piped::start();
    server.stderr = std::io::pipe().unwrap().0;
    assert!(server.answers(50), "the site stands still");
}
