//! Writes an access log that looks like a real one: visitors with sessions, assets after pages, referrers, some hundred
//! user agents, bots, errors, and requests that come late. The same seed gives the same bytes.
//!
//!     cargo run --release -p visitlog-logs --example generate -- combined|w3c LINES [SEED] > access.log
#![expect(clippy::print_stderr, reason = "a tool that says how it is called")]

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// 2024-01-01T00:00:00Z.
const BEGIN_S: u64 = 1_704_067_200;
const DAY_S: u64 = 86_400;
/// Requests a second, on average.
const REQUESTS_PER_S: u64 = 25;
/// Visitors on the site at once.
const VISITORS_AT_ONCE: usize = 2_000;

const PAGES: [&str; 24] = [
    "/",
    "/products",
    "/products/chairs",
    "/products/tables",
    "/products/lamps/floor",
    "/product/10482",
    "/product/10513/reviews",
    "/product/20117",
    "/cart",
    "/checkout/address",
    "/checkout/payment",
    "/account/orders",
    "/blog",
    "/blog/2023/11/how-to-oil-a-table",
    "/blog/2023/12/light-in-winter",
    "/about",
    "/contact",
    "/search",
    "/help/returns",
    "/help/delivery",
    "/jobs",
    "/de/produkte",
    "/fr/produits/chaises",
    "/robots.txt",
];
const ASSETS: [&str; 10] = [
    "/assets/app.4f1c9a.js",
    "/assets/app.77d0e2.css",
    "/assets/vendor.b1290c.js",
    "/images/hero-1600.webp",
    "/images/logo.svg",
    "/images/products/10482-a.jpg",
    "/images/products/10513-b.jpg",
    "/fonts/inter-var.woff2",
    "/favicon.ico",
    "/images/icons/cart.svg",
];
/// Some visitors' cookie, so that a query can look for it.
const COOKIE: u64 = 18_302_628_887_781_179_643;
const REFERRERS: [&str; 6] = [
    "-",
    "https://www.google.com/",
    "https://www.bing.com/search?q=oak+table",
    "https://duckduckgo.com/",
    "https://www.example.org/best-chairs-2024.html",
    "https://t.co/abcdef",
];
const BOTS: [&str; 4] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "python-requests/2.31.0",
];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A generator of numbers (SplitMix64): good enough to look random, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[usize::try_from(self.below(list.len() as u64)).unwrap_or(0)]
    }
}

/// Somebody on the site.
struct Visitor {
    address: String,
    agent: String,
    referrer: String,
    user: &'static str,
    cookie: Option<u64>,
    /// Requests that are left of the visit.
    left: u64,
    /// Assets of the page that are still to come.
    assets: u64,
    page: String,
}

impl Visitor {
    fn new(random: &mut Random) -> Self {
        let number = random.below(400_000);
        // Few addresses make many requests, many make few.
        let host = if random.below(4) == 0 { number % 500 } else { number };
        let bits = host.wrapping_mul(2_654_435_761) & 0xffff_ffff;
        let address = if random.below(12) == 0 {
            format!("2001:db8:{:x}:{:x}::{:x}", bits >> 16, bits & 0xffff, number & 0xff)
        } else {
            format!("{}.{}.{}.{}", 1 + (bits >> 24) % 223, (bits >> 16) & 255, (bits >> 8) & 255, bits & 255)
        };
        let is_bot = random.below(7) == 0;
        Self {
            address,
            agent: if is_bot { random.one_of(&BOTS).to_owned() } else { agent(random) },
            referrer: random.one_of(&REFERRERS).to_owned(),
            user: if random.below(30) == 0 { "alice" } else { "-" },
            cookie: (!is_bot && random.below(5) > 0).then(|| match random.below(1_000) {
                0 => COOKIE,
                _ => random.next(),
            }),
            left: 1 + random.below(if is_bot { 60 } else { 25 }),
            assets: 0,
            page: "/".to_owned(),
        }
    }
}

/// One of some hundred user agents.
fn agent(random: &mut Random) -> String {
    let version = 100 + random.below(24);
    match random.below(6) {
        0 => format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.{} \
             Safari/605.1.15",
            15 + random.below(3),
            random.below(6)
        ),
        1 => format!("Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"),
        2 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/17.{} Mobile/15E148 Safari/604.1",
            random.below(5),
            random.below(5)
        ),
        3 => format!(
            "Mozilla/5.0 (Linux; Android 1{}; SM-G99{}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 \
             Mobile Safari/537.36",
            random.below(5),
            random.below(10)
        ),
        _ => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{}.0 \
             Safari/537.36",
            random.below(10) * 611
        ),
    }
}

/// What is written of one request.
struct Request<'a> {
    at_s: u64,
    visitor: &'a Visitor,
    method: &'static str,
    path: &'a str,
    query: Option<String>,
    status: u16,
    bytes: u64,
    referrer: &'a str,
    taken_ms: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let format = arguments.first().map(String::as_str);
    let lines = arguments.get(1).and_then(|text| text.parse::<u64>().ok());
    let seed = arguments.get(2).map_or(Some(1), |text| text.parse::<u64>().ok());
    let (Some(format @ ("combined" | "w3c")), Some(lines), Some(seed)) = (format, lines, seed) else {
        eprintln!("combined or w3c, a number of lines and, perhaps, a seed expected");
        return ExitCode::FAILURE;
    };
    match write(&mut BufWriter::with_capacity(1 << 20, io::stdout().lock()), format == "w3c", lines, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(out: &mut impl Write, is_w3c: bool, lines: u64, seed: u64) -> io::Result<()> {
    let mut random = Random(seed);
    let mut visitors: Vec<Visitor> = (0..VISITORS_AT_ONCE).map(|_| Visitor::new(&mut random)).collect();
    let mut header_of_day = None;
    for line in 0..lines {
        let clock = BEGIN_S + line / REQUESTS_PER_S;
        // Some requests took longer than those after them, and are written later.
        let at_s = clock.saturating_sub(if random.below(20) == 0 { random.below(4) } else { 0 });
        if is_w3c && header_of_day != Some(clock / DAY_S) {
            header_of_day = Some(clock / DAY_S);
            write_header(out, clock)?;
        }
        let index = usize::try_from(random.below(VISITORS_AT_ONCE as u64)).unwrap_or(0);
        if visitors[index].left == 0 {
            visitors[index] = Visitor::new(&mut random);
        }
        let visitor = &mut visitors[index];
        visitor.left -= 1;
        let is_asset = visitor.assets > 0;
        let before = visitor.page.clone();
        let path = if is_asset {
            visitor.assets -= 1;
            random.one_of(&ASSETS).to_owned()
        } else {
            visitor.assets = random.below(6);
            visitor.page = random.one_of(&PAGES).to_owned();
            visitor.page.clone()
        };
        let first_referrer = visitor.referrer.clone();
        let referrer = if is_asset || first_referrer == "here" {
            format!("https://shop.example{}", if is_asset { &visitor.page } else { &before })
        } else {
            "here".clone_into(&mut visitor.referrer);
            first_referrer
        };
        let status = match random.below(40) {
            0 => 404,
            1 => 302,
            2 | 3 if is_asset => 304,
            4 if line % 3 == 0 => 500,
            _ => 200,
        };
        let request = Request {
            at_s,
            method: if path.starts_with("/checkout") { "POST" } else { "GET" },
            query: query(&path, &mut random),
            status,
            bytes: if status == 304 { 0 } else { 200 + random.below(90_000) },
            referrer: &referrer,
            taken_ms: random.below(40) * random.below(40),
            visitor: &visitors[index],
            path: &path,
        };
        if is_w3c { write_w3c(out, &request)? } else { write_combined(out, &request)? }
    }
    out.flush()
}

fn query(path: &str, random: &mut Random) -> Option<String> {
    match path {
        "/search" => Some(format!("q=oak+table+{}&page={}", random.below(50), 1 + random.below(9))),
        "/products" if random.below(3) == 0 => {
            Some(format!("utm_source=news&utm_medium=email&utm_campaign=winter-{}", random.below(4)))
        }
        _ => None,
    }
}

fn write_combined(out: &mut impl Write, request: &Request<'_>) -> io::Result<()> {
    let (year, month, day) = civil(request.at_s / DAY_S);
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let (hour, minute, second) = clock(request.at_s);
    let Visitor { address, user, agent, .. } = request.visitor;
    write!(out, "{address} - {user} [{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000] ")?;
    write!(out, "\"{} {}", request.method, request.path)?;
    if let Some(query) = &request.query {
        write!(out, "?{query}")?;
    }
    writeln!(out, " HTTP/1.1\" {} {} \"{}\" \"{agent}\"", request.status, request.bytes, request.referrer)
}

fn write_header(out: &mut impl Write, at_s: u64) -> io::Result<()> {
    let (year, month, day) = civil(at_s / DAY_S);
    let (hour, minute, second) = clock(at_s);
    write!(out, "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n")?;
    write!(out, "#Date: {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}\r\n")?;
    write!(
        out,
        "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Cookie) \
         cs(Referer) sc-status sc-substatus sc-win32-status sc-bytes time-taken\r\n"
    )
}

fn write_w3c(out: &mut impl Write, request: &Request<'_>) -> io::Result<()> {
    let (year, month, day) = civil(request.at_s / DAY_S);
    let (hour, minute, second) = clock(request.at_s);
    let Visitor { address, user, agent, .. } = request.visitor;
    let query = request.query.as_deref().unwrap_or("-");
    write!(out, "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} 10.0.0.4 {} ", request.method)?;
    write!(out, "{} {query} 443 {user} {address} {} ", request.path, agent.replace(' ', "+"))?;
    match request.visitor.cookie {
        Some(cookie) => write!(out, "IIS7SessionTracking={cookie} ")?,
        None => write!(out, "- ")?,
    }
    let Request { referrer, status, bytes, taken_ms, .. } = request;
    write!(out, "{referrer} {status} 0 0 {bytes} {taken_ms}\r\n")
}

/// Hour, minute and second of a time.
fn clock(at_s: u64) -> (u64, u64, u64) {
    (at_s % DAY_S / 3600, at_s % 3600 / 60, at_s % 60)
}

/// Year, month and day of a number of days since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let (mut year, mut left) = (1970, days);
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let of_year = 365 + u64::from(is_leap);
        if left < of_year {
            let lengths = [31, 28 + u64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                if left < length {
                    return (year, month, left + 1);
                }
                left -= length;
            }
        }
        left -= of_year;
        year += 1;
    }
}
