//! `visitlog` as its users have it: real processes, real sockets, real disks, and what befalls them.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it saw")]

mod access;
mod access_log;
mod books;
mod crowd;
mod dice;
mod disk;
mod erase;
mod files;
mod fire;
mod flood;
mod freeze;
mod front;
mod http;
mod identity;
mod import;
mod journal;
mod kill;
mod log_reports;
mod pages;
mod personal;
mod privacy;
mod private;
mod races;
mod redirects;
mod server;
mod settings;
mod sql;
mod stderr;
mod stop;
mod tail;
mod tell;
mod upstream;
mod visits;
mod ways;
mod webhooks;
mod weblog;
mod whose_log;
