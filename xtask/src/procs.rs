//! The leak check: what the tests started must have ended when they have.
//!
//! We become the sub-reaper of everything below us, so a process whose parent died is ours to find, daemons too. Linux only.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How long a process may take to end after the step that started it.
const GRACE: Duration = Duration::from_secs(5);

/// Makes us the parent of every orphan below us.
pub(crate) fn adopt_orphans() -> std::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Waits a little for our descendants to end; ends those that do not and says what they were.
pub(crate) fn leaked() -> Vec<String> {
    let began = Instant::now();
    while began.elapsed() < GRACE {
        if descendants().is_empty() {
            return Vec::new();
        }
        thread::sleep(Duration::from_millis(50));
    }
    end_descendants()
}

/// Kills every process below us, until there is none; says what they were.
pub(crate) fn end_descendants() -> Vec<String> {
    let mut seen = HashMap::new();
    let began = Instant::now();
    loop {
        let alive = descendants();
        if alive.is_empty() || began.elapsed() > GRACE {
            let mut words: Vec<String> = seen.into_values().collect();
            words.sort();
            return words;
        }
        for pid in alive {
            seen.entry(pid).or_insert_with(|| describe(pid));
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended since we looked: then there is nothing to do.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Our living descendants; the dead ones among our own children are reaped on the way.
fn descendants() -> Vec<i32> {
    let mut children: HashMap<i32, Vec<(i32, char)>> = HashMap::new();
    for pid in
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
    {
        if let Some((state, parent)) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(stat) {
            children.entry(parent).or_default().push((pid, state));
        }
    }
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    let mut next = vec![own];
    while let Some(parent) = next.pop() {
        for &(pid, state) in children.get(&parent).into_iter().flatten() {
            next.push(pid);
            match state {
                // A child that std still waits for is in no step's way: only what was handed to us is reaped here.
                'Z' if parent == own => reap(pid),
                'Z' => {}
                _ => found.push(pid),
            }
        }
    }
    found
}

fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// State and parent from a line of `/proc/PID/stat`, whose second field, the name, may hold anything.
fn stat(line: &str) -> Option<(char, i32)> {
    let mut fields = line[line.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn describe(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&line).replace('\0', " ");
    let listening = listeners(pid);
    let ports = if listening.is_empty() { String::new() } else { format!(" listening on {}", listening.join(" ")) };
    format!("pid {pid} ({}){ports}", words.trim().chars().take(120).collect::<String>())
}

/// The TCP ports that a process listens on.
fn listeners(pid: i32) -> Vec<String> {
    let sockets: HashSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        ports.extend(text.lines().skip(1).filter_map(|line| listening_port(line, &sockets)));
    }
    ports
}

/// The port of one line of `/proc/net/tcp`, if it is in state `LISTEN` and one of `sockets`.
fn listening_port(line: &str, sockets: &HashSet<String>) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != "0A" || !sockets.contains(*inode) {
        return None;
    }
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    Some(format!(":{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_hides_no_parent() {
        assert_eq!(stat("12 (a) b (c)) S 7 12 12 0"), Some(('S', 7)));
        assert_eq!(stat("garbage"), None);
    }

    #[test]
    fn an_orphan_below_us_is_found() {
        adopt_orphans().expect("sub-reaper");
        let script = "sleep 300 </dev/null >/dev/null 2>&1 & echo $!";
        let out = std::process::Command::new("sh").args(["-c", script]).output().expect("sh");
        let pid: i32 = String::from_utf8_lossy(&out.stdout).trim().parse().expect("a pid");
        let found = descendants().contains(&pid);
        let words = describe(pid);
        kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("kill");
        assert!(found, "{pid} is not among our descendants");
        assert!(words.contains("sleep 300"), "{words}");
    }

    #[test]
    fn only_a_listening_socket_of_the_process_counts() {
        let own = HashSet::from(["4711".to_owned()]);
        let line = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1";
        assert_eq!(listening_port(line, &own).as_deref(), Some(":8080"));
        assert_eq!(listening_port(&line.replace("4711", "4712"), &own), None);
        assert_eq!(listening_port(&line.replace(" 0A ", " 01 "), &own), None);
    }
}
