//! `visitlog` as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Browser, PATIENCE};
use crate::personal;
use crate::upstream::Upstream;

/// The program under test.
pub(crate) fn visitlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visitlog"));
    command.stdin(Stdio::null()).env_remove("VISITLOG_LOG").env_remove("VISITLOG_CONFIG").env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str], data: &Path) -> Output {
    visitlog().args(args).arg("--data").arg(data).output().unwrap()
}

/// Standard output of a command that must succeed.
pub(crate) fn say(args: &[&str], data: &Path) -> String {
    let output = run(args, data);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "visitlog {args:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// A `visitlog serve` that runs. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    pub(crate) site: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The command line's token.
    pub(crate) token: String,
    /// The path of the link for the first account.
    pub(crate) set_up: Option<String>,
    log: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on free ports, and waits until it serves. The error is what it said before it ended.
    pub(crate) fn try_start(data: &Path, upstream: &Upstream, args: &[&str]) -> Result<Self, (ExitStatus, String)> {
        // Sinks are waited for: the tables must not wait ten minutes, unless a test wants it otherwise.
        let tables = cfg!(feature = "warehouse") && !args.contains(&"--flush-after");
        let soon: &[&str] = if tables { &["--flush-after", "200ms"] } else { &[] };
        let mut child = visitlog()
            .args(["serve", "--upstream", &upstream.url(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(args)
            .args(soon)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let (log, logging) = text_of(child.stderr.take().unwrap());
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            child,
            site: unknown,
            admin: unknown,
            token: String::new(),
            set_up: None,
            log,
            logging: Some(logging),
        };
        for which in 0..2 {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let address = line.rsplit("http://").next().and_then(|text| text.trim().parse().ok());
                    let address = address.unwrap_or_else(|| panic!("an address expected: {line}"));
                    *[&mut server.site, &mut server.admin][which] = address;
                }
                Err(RecvTimeoutError::Timeout) => panic!("it did not start:\n{}", server.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = server.wait();
                    return Err((status, server.log()));
                }
            }
        }
        // It is printed with the addresses, if at all.
        let link = lines.recv_timeout(Duration::from_millis(100)).unwrap_or_default();
        server.set_up = link.find("/setup?key=").map(|path| link[path..].to_owned());
        std::fs::read_to_string(data.join("admin/token")).unwrap().trim().clone_into(&mut server.token);
        personal::note(&server.token);
        Ok(server)
    }

    /// What lets the command line in.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    pub(crate) fn start(data: &Path, upstream: &Upstream, args: &[&str]) -> Self {
        Self::try_start(data, upstream, args).unwrap_or_else(|(status, log)| panic!("it ended with {status}:\n{log}"))
    }

    /// What it has said on standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, without waiting.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and the end that follows.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        self.ask_to_end();
        let status = self.wait();
        (status, self.log())
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(logging) = self.logging.take() {
                    logging.join().unwrap();
                }
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks the admin address.
    pub(crate) fn ask(&self, path: &str) -> (u16, String) {
        let answer = Browser::new(self.admin, "test").get(path, &[("Authorization", &self.bearer())]);
        (answer.status, answer.body)
    }

    /// The sum of a metric's lines that begin so.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (status, page) = self.ask("/metrics");
        assert_eq!(status, 200, "{page}");
        let values: Vec<f64> = page
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(!values.is_empty(), "no metric {name} in\n{page}");
        values.iter().sum()
    }

    /// What was lost for a reason.
    pub(crate) fn losses(&self, reason: &str) -> u64 {
        self.metric(&format!("visitlog_losses_total{{reason=\"{reason}\"}}")) as u64
    }

    /// Waits until no session is open and the folder's files have all visits; the tables take their time.
    pub(crate) fn wait_until_all_have_ended(&self) {
        let backlog = "visitlog_sink_backlog_visits{sink=\"ndjson\"}";
        eventually("all sessions to end", || {
            self.metric("visitlog_open_sessions") == 0.0 && self.metric(backlog) == 0.0
        });
    }

    /// Waits until no session is open and every sink has stored all visits. (A graceful end doesn't wait for the
    /// tables: the journal has what they lack.)
    pub(crate) fn wait_until_all_is_stored(&self) {
        eventually("all visits to be stored", || {
            self.metric("visitlog_open_sessions") == 0.0 && self.metric("visitlog_sink_backlog_visits") == 0.0
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{log}---");
        } else {
            let personal = personal::found_in(&log);
            assert!(personal.is_empty(), "{} personal words in\n{log}", personal.len());
        }
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines_of(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

fn text_of(stderr: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let writing = Arc::clone(&text);
    let thread = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = writing.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    (text, thread)
}
