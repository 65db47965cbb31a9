//! What a browser of the benchmarks does on a connection that it keeps.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sends a request's head, and returns the cookie that the answer gives, if any.
///
/// # Errors
/// When the site closes the connection or answers what is no HTTP.
pub(crate) fn ask(site: &mut BufReader<TcpStream>, head: &str) -> Result<Option<String>, Error> {
    site.get_mut().write_all(head.as_bytes())?;
    let (mut length, mut given) = (0, None);
    loop {
        let mut line = String::new();
        if site.read_line(&mut line)? == 0 {
            return Err("the site closed the connection".into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "set-cookie" => given = value.trim().split(';').next().map(str::to_owned),
            _ => {}
        }
    }
    std::io::copy(&mut site.by_ref().take(length), &mut std::io::sink())?;
    Ok(given)
}
