//! Simulated visitors for the demo: they look around, buy, log in, change their minds and leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use getrandom::u32 as random;

/// Threads that click.
pub(crate) struct Crowd {
    gone: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

const PAGES: [&str; 7] =
    ["/", "/products", "/products/teapot", "/products/assam", "/products/mug", "/no-such-page", "/cart"];
/// Where they come in, and where they come from.
const ARRIVALS: [(&str, Option<&str>); 5] = [
    ("/", None),
    ("/", Some("https://www.google.com/")),
    ("/products/teapot", Some("https://chatgpt.com/")),
    ("/products/assam", Some("https://tea.example/reviews")),
    ("/products?utm_source=newsletter&utm_medium=email&utm_campaign=autumn", None),
];
const SYSTEMS: [&str; 4] = [
    "(X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "(iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
];
const USERS: [&str; 5] = ["ada", "brian", "chen", "dora", "emil"];

impl Crowd {
    /// Lets `count` visitors in, one after the other.
    pub(crate) fn start(site: SocketAddr, count: usize) -> Self {
        let gone = Arc::new(AtomicBool::new(false));
        let threads = (0..count)
            .map(|number| {
                let gone = Arc::clone(&gone);
                std::thread::spawn(move || come_again(site, number, &gone))
            })
            .collect();
        Self { gone, threads }
    }

    /// Sends everybody home.
    pub(crate) fn stop(self: Arc<Self>) {
        self.gone.store(true, Ordering::Relaxed);
        if let Some(crowd) = Arc::into_inner(self) {
            for thread in crowd.threads {
                let _ = thread.join();
            }
        }
    }
}

/// One person at one browser, who comes back after a while.
fn come_again(site: SocketAddr, number: usize, gone: &AtomicBool) {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .user_agent(format!("Mozilla/5.0 {} demo/{number}", SYSTEMS[number % SYSTEMS.len()]));
    let browser = Browser { agent: config.build().new_agent(), site };
    while !gone.load(Ordering::Relaxed) {
        browser.visit(gone);
        wait(below(20_000) + 3_000, gone);
    }
}

struct Browser {
    agent: ureq::Agent,
    site: SocketAddr,
}

impl Browser {
    fn visit(&self, gone: &AtomicBool) {
        let (path, from) = ARRIVALS[below(ARRIVALS.len() as u32) as usize];
        self.arrive(path, from);
        self.get("/assets/shop.css");
        for _ in 0..below(6) + 1 {
            wait(below(2_500) + 300, gone);
            self.get(PAGES[below(PAGES.len() as u32) as usize]);
        }
        if below(2) == 0 {
            self.shop(gone);
        }
    }

    fn shop(&self, gone: &AtomicBool) {
        let user = USERS[below(USERS.len() as u32) as usize];
        self.get("/login");
        self.post("/login", &[("name", user)]);
        self.get("/account");
        wait(below(1_500) + 300, gone);
        if below(2) == 0 {
            self.post("/account/picture/delete", &[]);
            self.get("/account");
        }
        if below(2) == 0 {
            self.post("/logout", &[]);
        }
    }

    fn get(&self, path: &str) {
        self.arrive(path, None);
    }

    fn arrive(&self, path: &str, from: Option<&str>) {
        let request = self.agent.get(format!("http://{}{path}", self.site));
        let request = request.header("Accept", "text/html,*/*;q=0.8").header("Accept-Language", "en");
        let request = from.into_iter().fold(request, |request, from| request.header("Referer", from));
        // A visitor doesn't care why a page did not come.
        let _ = request.call().map(|mut answer| answer.body_mut().read_to_vec());
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) {
        let _ = self.agent.post(format!("http://{}{path}", self.site)).send_form(form.iter().copied());
    }
}

fn below(bound: u32) -> u32 {
    random().unwrap_or(0) % bound.max(1)
}

fn wait(millis: u32, gone: &AtomicBool) {
    for _ in 0..millis / 100 {
        if gone.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
