//! The log, on standard error. Whoever logs never waits for whoever reads: lines wait in a bounded queue, and those
//! that find it full are lost, counted, and told of once somebody reads on. One place in the code says so many lines a
//! minute at most; what is left out is told of as well.

mod throttle;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::throttle::Throttle;

/// What is said without `VISITLOG_LOG`: the libraries speak only of what went wrong.
const FILTER: &str = "warn,visitlog=info,visitlog_core=info,visitlog_engine=info,visitlog_sinks=info,visitlog_server=info,\
                      visitlog_tower=info,visitlog_warehouse=info,visitlog_logs=info";
/// Lines that wait for a reader: some hundred kilobytes.
const LINES_MAX: usize = 4096;
/// How often it is looked whether lines were left out that nobody was told of.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Writes what waits, when it is dropped.
static WRITING: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// The log goes to standard error; `VISITLOG_LOG=debug` says more, without leaving out any.
pub(crate) fn start() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VISITLOG_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(FILTER));
    let terminal = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lost = Arc::new(OnceLock::new());
    let writer = Telling { to: io::stderr(), lost: Arc::clone(&lost), told: 0 };
    let (queue, writing) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).finish(writer);
    let _ = lost.set(queue.error_counter());
    *WRITING.lock() = Some(writing);
    let throttle = Throttle::default();
    let lines = tracing_subscriber::fmt::layer().with_ansi(terminal).with_writer(queue);
    tracing_subscriber::registry().with(filter).with(throttle.clone()).with(lines).init();
    tell_of_panics();
    let tell = move || {
        loop {
            std::thread::sleep(TELL_EVERY);
            throttle.tell();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("visitlog-log".to_owned()).spawn(tell) {
        tracing::warn!(%error, "no thread: lines of the log that are left out are not told of");
    }
}

/// Writes what waits, but waits for no reader longer than a second. Nothing is logged after it.
pub(crate) fn end() {
    drop(WRITING.lock().take());
}

/// A panic of a thread goes the log's way too: standard error itself may have no reader.
fn tell_of_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if thread.name() == Some("main") {
            return usual(panic);
        }
        let said = panic.payload_as_str().unwrap_or("something that is no text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), place, "panicked: {said}");
    }));
}

/// Says how many lines were lost, before the next one that is written.
struct Telling<W> {
    to: W,
    lost: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W: Write> Write for Telling<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told {
            let mut now = String::new();
            let _ = SystemTime.format_time(&mut Writer::new(&mut now));
            let lines = lost - self.told;
            writeln!(
                self.to,
                "{now}  WARN visitlog::log: lines of the log were lost: nobody took them in time lines={lines}"
            )?;
            self.told = lost;
        }
        self.to.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Somebody who reads a line whenever he is told to.
    struct Reader {
        next: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.next.recv();
            let _ = self.read.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_does_not_wait_and_what_was_lost_is_told_once() {
        let ((go, next), (read, lines)) = (channel(), channel());
        let lost = Arc::new(OnceLock::new());
        let writer = Telling { to: Reader { next, read }, lost: Arc::clone(&lost), told: 0 };
        let (mut queue, writing) = NonBlockingBuilder::default().buffered_lines_limit(8).finish(writer);
        let _ = lost.set(queue.error_counter());
        for _ in 0..100 {
            queue.write_all(b"a line\n").expect("a queue that takes it, or loses it");
        }
        let count = queue.error_counter().dropped_lines();
        assert!((80..100).contains(&count), "{count} of 100 lost");
        drop(go);
        drop(writing);
        let said: String = lines.iter().collect();
        assert_eq!(said.matches("a line").count(), 100 - count, "{said}");
        assert_eq!(said.matches("lines of the log were lost").count(), 1, "{said}");
        assert!(said.contains(&format!("lines={count}\n")), "{said}");
    }
}
