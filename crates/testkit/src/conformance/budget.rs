//! What strangers can fill stays within its budget, and visitors who are known go on.
#![expect(missing_docs, reason = "a case's name says what it asserts")]

use std::time::Duration;

use visitlog_core::machine::Budget;
use visitlog_core::ports::{Op, Outcome, Standing};
use visitlog_core::rules::SiteRules;
use visitlog_core::{Host, limits};

use super::tested::ADMITTED;
use super::{Restarts, Setup, StoreUnderTest, Tested, login};

fn with<S: StoreUnderTest>(budget: Budget, restarts: Restarts) -> Tested<S> {
    Tested::with(Setup { budget, ..Setup::default() }, restarts)
}

pub fn a_stranger_who_says_goodbye_in_each_request_mints_no_session_for_each<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for n in 0..20_000 {
        if n % 100 == 0 {
            tested.wait(1);
        }
        bot.with_ops("/logout", vec![Op::Logout]);
    }
    let tombs = tested.used().tombstones;
    let sessions = tested.ended().len() + tested.open().len();
    // 63 of its own, and the shared one, which is full after 10,000 events.
    let most = tested.unless_restarted(66, 66 * tested.lives(), ADMITTED);
    assert!(sessions <= most && tombs <= most, "{sessions} sessions, {tombs} tombstones");
    assert_eq!(tested.page_views(), 20_000);
}

pub fn a_stranger_who_logs_in_with_each_request_has_64_sessions_at_once<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..1_000 {
        assert_eq!(bot.with_ops("/", vec![login("robot")]).outcome, Outcome::Started);
    }
    assert!(tested.open().len() <= 64, "{}", tested.open().len());
    assert!(tested.counts().evicted_fingerprint >= 936);
}

pub fn a_flood_of_provisional_sessions_evicts_the_oldest_of_them<S: StoreUnderTest>(restarts: Restarts) {
    let tested = with::<S>(Budget { provisional: 10 * S::PARTS, ..Budget::default() }, restarts);
    let mut known = tested.browser(1);
    known.page("/");
    known.asset();
    for n in 10..2_000 {
        if n % 4 == 0 {
            tested.wait(1);
        }
        tested.browser(n).page("/");
    }
    let open = tested.open();
    assert!(open.len() <= 10 * S::PARTS + 1, "{}", open.len());
    assert!(known.is_in());
    let counts = tested.counts();
    let evicted = counts.evicted_provisional as usize;
    assert!(evicted >= 1_940 - 10 * S::PARTS && counts.evicted_open == 0, "{counts:?}");
}

pub fn an_idle_session_goes_before_a_busy_one<S: StoreUnderTest>(restarts: Restarts) {
    let tested = with::<S>(Budget { open_sessions: 8 * S::PARTS, ..Budget::default() }, restarts);
    let mut busy = tested.browser(1);
    busy.page("/");
    busy.asset();
    tested.wait(60);
    for n in (10..).take(4 * S::PARTS) {
        let mut idle = tested.browser(n);
        idle.page("/");
        idle.asset();
    }
    for _ in 0..27 {
        tested.wait(60);
        busy.page("/again");
    }
    let why = "who is idle for as long goes in the order of the wheel, which a restart makes anew";
    for n in (1_000..).take(tested.unless_restarted(15, 2, why) * S::PARTS) {
        let mut new = tested.browser(n);
        new.page("/");
        new.asset();
        assert!(busy.is_in(), "the busy one went when {n} came");
    }
}

pub fn the_cap_evicts_unconfirmed_sessions_first<S: StoreUnderTest>(restarts: Restarts) {
    // All browsers below share one partition by accident only, so the cap is checked over all parts.
    let tested = with::<S>(Budget { open_sessions: 3 * S::PARTS, ..Budget::default() }, restarts);
    let mut confirmed: Vec<_> = (0..2).map(|n| tested.browser(n)).collect();
    for browser in &mut confirmed {
        browser.page("/");
        browser.asset();
    }
    for n in (10..).take(50 * S::PARTS / 4) {
        tested.wait(1);
        tested.browser(n).page("/");
    }
    assert!(tested.open().len() <= 3 * S::PARTS);
    assert!(tested.reasons().iter().all(|reason| *reason == "evicted"));
    for browser in &confirmed {
        assert!(browser.is_in(), "a confirmed session was evicted before others");
    }
}

pub fn sessions_that_cookieless_clients_share_are_evicted_before_those_of_visitors<S: StoreUnderTest>(
    restarts: Restarts,
) {
    let budget = Budget { open_sessions: 16 * S::PARTS, provisional: 8 * S::PARTS, ..Budget::default() };
    let day = Duration::from_secs(86_400);
    let rules = SiteRules { idle_timeout: day, ..SiteRules::default() };
    let tested = Tested::<S>::with(Setup { budget, rules, ..Setup::default() }, restarts);
    let mut known: Vec<_> = (0..4).map(|n| tested.browser(n)).collect();
    for browser in &mut known {
        browser.page("/");
        browser.asset();
    }
    // Each of them comes often enough to share one.
    for print in (1_000..).take(50 * S::PARTS) {
        let mut stranger = tested.browser(print);
        stranger.keeps_cookies = false;
        (0..8).take_while(|_| stranger.page("/").outcome != Outcome::Shared).for_each(|_| tested.wait(11));
    }
    for browser in &known {
        assert!(browser.is_in(), "a visitor's session was evicted for strangers");
    }
    assert!(tested.open().len() <= 8 * S::PARTS + 4, "{}", tested.open().len());
    tested.tick();
}

pub fn tombstones_are_bounded_and_a_flood_pushes_out_nobody_who_is_known<S: StoreUnderTest>(restarts: Restarts) {
    let tested = with::<S>(Budget { tombstones: 160 * S::PARTS, ..Budget::default() }, restarts);
    let mut known = tested.browser(1);
    known.page("/");
    known.fetch(vec![Op::Logout]);
    for n in 10..5_000 {
        let mut stranger = tested.browser(n);
        stranger.keeps_cookies = false;
        stranger.with_ops("/", vec![Op::Abandon]);
    }
    let tombs = tested.used().tombstones;
    assert!(tombs <= 160 * S::PARTS, "{tombs}");
    assert!(tested.counts().tombstones_forgotten > 0);
    let mut twins = [known.clone(), known.clone()];
    let visits = twins.each_mut().map(|twin| twin.page("/").visit);
    assert_ne!(visits[0], visits[1], "a token that was logged out brings nobody together: it is remembered");
}

pub fn forged_hosts_make_room_again_when_nobody_has_asked_for_them_for_a_day<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    for n in 0..limits::SITES_MAX as u64 {
        let mut forger = tested.browser(n);
        forger.host = Host::new(&format!("forged-{n}.example"));
        forger.page("/");
        forger.asset();
    }
    let mut real = tested.browser(5_000);
    real.page("/");
    real.asset();
    assert_eq!(tested.site_of(real.visit()), "other");
    assert_eq!(tested.counts().sites_refused, 1);
    tested.wait(90_000);
    tested.tick();
    real.page("/");
    real.asset();
    assert_eq!(tested.site_of(real.visit()), "shop.example");
    assert_eq!(tested.used().sites, limits::SITES_MAX);
}

pub fn a_confirmation_tells_the_index_by_fingerprint<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    for round in 0..5 {
        let mut browser = tested.browser(1);
        browser.page("/");
        browser.asset();
        tested.wait(11);
        let next = tested.browser(1).begin(false);
        assert!(matches!(next.begun.standing, Standing::Fresh(_)), "round {round}: it keeps cookies");
    }
}

pub fn a_restart_forgets_no_cookieless_fingerprint_and_no_rules<S: StoreUnderTest>(restarts: Restarts) {
    let tested = Tested::<S>::new(restarts);
    let mut bot = tested.browser(1);
    bot.keeps_cookies = false;
    for _ in 0..63 {
        bot.page("/");
    }
    assert!(matches!(bot.begin(false).begun.standing, Standing::Shared { .. }));
    tested.restart();
    assert!(matches!(bot.begin(false).begun.standing, Standing::Shared { .. }));
}

pub fn a_restart_goes_by_the_sessions_own_rules_and_not_by_the_first<S: StoreUnderTest>(restarts: Restarts) {
    let slow = SiteRules { idle_timeout: Duration::from_secs(7_200), ..SiteRules::default() };
    let own_rules = vec![(Host::new("slow.example"), slow)];
    let tested = Tested::<S>::with(Setup { own_rules, ..Setup::default() }, restarts);
    let mut browser = tested.browser(1);
    browser.host = Host::new("slow.example");
    browser.page("/");
    browser.asset();
    tested.restart();
    tested.wait(3_600);
    tested.tick();
    assert!(browser.is_in());
    tested.wait(7_300);
    tested.tick();
    assert_eq!(tested.reasons(), ["expired"]);
}
