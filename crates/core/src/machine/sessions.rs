//! All open sessions of a store that keeps them in this process: shards, the indexes beside them, and how a request goes
//! through them.
//!
//! Nothing here holds one shard while it asks for another.

use super::config::{ShardConfig, TickBudget};
use super::cookieless::{Admission, Applicant};
use super::counts::{BudgetCounts, BudgetUse, add};
use super::effects::{Effects, Log};
use super::indexes::{Indexes, lock};
use super::requests::Recognized;
use super::shard::{Asked, Shard};
use super::sites::{HostIndex, Sites};
use super::time::Ticked;
use super::view::Open;
use crate::ids::{Fingerprint, Host, Lsn, VisitId, Visitor};
use crate::model::{EndReason, Identity, UserId};
use crate::ports::{
    Arrival, Begun, Commit, Committed, Entropy, Fresh, HoldOwner, Outcome, RequestId, SessionHold, Standing, Token,
};
use crate::session::{self, NewSession};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Timestamp;

/// Open sessions, in shards by partition.
#[derive(Debug)]
pub struct Sessions {
    shards: Box<[Mutex<Shard>]>,
    indexes: Indexes,
}

/// What a call into [`Sessions`] needs of the store around them.
pub struct Call<'a, L> {
    /// Where records go.
    pub log: &'a L,
    /// Fresh random bits.
    pub entropy: &'a dyn Entropy,
    /// The moment now.
    pub now: Timestamp,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Done<T> {
    /// The answer.
    pub reply: T,
    /// The newest record that it has to wait for; [`Lsn::NONE`] where there is none.
    pub newest: Lsn,
}

/// A commit that may start a session, on its way.
struct Starting {
    visitor: Visitor,
    key: Fingerprint,
    commit: Box<Commit>,
}

impl Sessions {
    /// No sessions yet, in `shards` shards that follow one configuration and share its budget.
    pub fn new(config: &ShardConfig, shards: usize, named: impl IntoIterator<Item = Host>) -> Self {
        let shard = || Shard::new(Self::share(config, shards));
        Self::recovered(config, (0..shards).map(|_| shard()).collect(), Self::sites(config, named))
    }

    /// The configuration of one of `shards` shards.
    pub fn share(config: &ShardConfig, shards: usize) -> ShardConfig {
        ShardConfig { budget: config.budget.share(shards), ..config.clone() }
    }

    /// The table of sites that goes with a configuration.
    pub fn sites(config: &ShardConfig, named: impl IntoIterator<Item = Host>) -> Sites {
        let longest = config.rules.iter().map(|rules| rules.max_age).max().unwrap_or_default();
        Sites::new(named, config.budget.sites, longest)
    }

    /// Sessions that a journal remembered.
    pub fn recovered(config: &ShardConfig, shards: Vec<Shard>, sites: Sites) -> Self {
        Self { shards: shards.into_iter().map(Mutex::new).collect(), indexes: Indexes::new(&config.budget, sites) }
    }

    /// The indexes beside the shards, made of what the shards know; called once after a recovery, before all else.
    pub fn restored<L: Log>(&self, call: &Call<'_, L>) -> Lsn {
        let mut logins = Vec::new();
        let mut fx = Effects::new(call.log, &self.indexes);
        let owner = HoldOwner { node: 0, incarnation: call.entropy.random() as u64 };
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.restored(call.now);
            shard.holds.begin_life(owner);
            shard.settle(call.now, &mut fx);
            for open in shard.iter() {
                if !open.confirmed {
                    self.indexes.restore_print(open.fingerprint, open.chain.visit, open.shared);
                }
                if let Some(user) = &open.data.user {
                    logins.push((open.rotated_at_s, open.chain.visit, user.clone(), open.single_login));
                }
            }
        }
        // In the order of the logins: a supersession that a crash kept from happening happens now.
        logins.sort_unstable_by_key(|(at, visit, ..)| (*at, *visit));
        for (_, visit, user, single) in logins {
            self.indexes.logged_in(visit, &user, single, &mut fx.superseded);
        }
        self.supersede(call, &mut fx);
        fx.newest
    }

    /// The shard of a partition, held.
    pub fn shard(&self, partition: u8) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(partition) % self.shards.len()])
    }

    /// The shard of a number, held.
    pub(super) fn nth_shard(&self, number: usize) -> MutexGuard<'_, Shard> {
        lock(&self.shards[number])
    }

    /// A request arrived: who is it?
    pub fn begin<L: Log>(&self, call: &Call<'_, L>, arrival: &Arrival) -> Begun {
        let at = call.now;
        let (mut visitor, mut succeeds) = (None, false);
        if arrival.cookies
            && let Some(token) = arrival.token
        {
            let mut fx = Effects::new(call.log, &self.indexes);
            let mut shard = self.shard(token.visitor.partition());
            let successor = shard.successor(&token, &arrival.host, at, call.entropy);
            match shard.arrive(at, &token, successor, arrival, &mut fx) {
                Recognized::Live(live, request) => return Begun { request, at, standing: Standing::Live(live) },
                Recognized::Known => (visitor, succeeds) = (successor.or(Some(token.visitor)), successor.is_some()),
                Recognized::Stranger => {}
            }
            let brings = !succeeds && token.visit.is_none() && shard.landings.waits(token.visitor);
            drop(shard);
            // It keeps a cookie after all, perhaps: the start of a session will tell.
            if let Some(visitor) = visitor.filter(|_| token.visit.is_none()) {
                return fresh(call, visitor, succeeds, brings);
            }
        }
        let key = self.indexes.key(arrival.fingerprint);
        if let Some(ended) = arrival.token.filter(|_| visitor.is_some()).and_then(|token| token.visit) {
            self.indexes.returned(key, ended);
        }
        let visitor = visitor.unwrap_or_else(|| Visitor::drawn(call.entropy.random(), key.partition()));
        if !arrival.cookies || self.indexes.is_cookieless(key, at) {
            let request = RequestId::from_u128(call.entropy.random());
            return Begun { request, at, standing: Standing::Shared { visitor } };
        }
        fresh(call, visitor, succeeds, false)
    }

    /// The head of the answer is ready: carries out what the request did. `cookies`: whether they are in use at all.
    pub fn commit<L: Log>(&self, call: &Call<'_, L>, mut commit: Commit, cookies: bool) -> Done<Committed> {
        let mut fx = Effects::new(call.log, &self.indexes);
        let reply = match &commit.standing {
            Standing::Live(live) => self.commit_live(call, live.visit, &mut commit, &mut fx),
            _ if !commit.starts() => session::nothing(),
            &Standing::Fresh(Fresh { visit, visitor, succeeds, .. }) => {
                if !succeeds {
                    // Whose token was outdated got a visitor of his own, and nothing of the token's.
                    commit.token = commit.token.filter(|token| token.visitor == visitor);
                }
                self.start(call, visit, visitor, commit, cookies, &mut fx)
            }
            &Standing::Shared { visitor } => {
                commit.token = commit.token.filter(|token| token.visitor == visitor);
                let visit = VisitId::new(call.now, call.entropy.random(), visitor.partition());
                self.start(call, visit, visitor, commit, cookies, &mut fx)
            }
        };
        self.supersede(call, &mut fx);
        Done { reply, newest: fx.newest }
    }

    fn commit_live<L: Log>(
        &self,
        call: &Call<'_, L>,
        visit: VisitId,
        commit: &mut Commit,
        fx: &mut Effects<'_, L>,
    ) -> Committed {
        if !commit.logs_in() {
            let asked = Asked::nobody(call.now);
            return self.shard(visit.partition()).commit_live(&asked, visit, commit, 0, fx);
        }
        let (random, host) = (call.entropy.random(), commit.host.clone());
        let mut shard = self.shard(visit.partition());
        let asked = shard.asked(call.now, &host, fx);
        shard.commit_live(&asked, visit, commit, random, fx)
    }

    fn start<L: Log>(
        &self,
        call: &Call<'_, L>,
        mut visit: VisitId,
        visitor: Visitor,
        commit: Commit,
        cookies: bool,
        fx: &mut Effects<'_, L>,
    ) -> Committed {
        let request = commit.request;
        // Let go of the shard before it is asked again.
        let replied = self.shard(visitor.partition()).replied(request);
        if let Some(reply) = replied {
            add(&self.indexes.counters.commits_repeated, 1);
            fx.reached(self.newest_of(&reply));
            return reply;
        }
        let key = self.indexes.key(commit.fingerprint);
        let mut commit = commit;
        if commit.brings() {
            if let Some(committed) = self.bring(call, visit, visitor, key, &mut commit, fx) {
                return committed;
            }
            if !commit.starts_by_itself() {
                return session::nothing();
            }
        }
        let mut starting = Starting { visitor, key, commit: Box::new(commit) };
        loop {
            match self.admitted(call, visit, starting, cookies, fx) {
                Ok(committed) => return committed,
                // The session that its fingerprint shared has ended this moment: the next one has another id.
                Err(back) => {
                    starting = back;
                    visit = VisitId::new(call.now, call.entropy.random(), visitor.partition());
                }
            }
        }
    }

    /// Starts the session of a client that has shown that it keeps cookies, with what it did first.
    fn bring<L: Log>(
        &self,
        call: &Call<'_, L>,
        visit: VisitId,
        visitor: Visitor,
        key: Fingerprint,
        commit: &mut Commit,
        fx: &mut Effects<'_, L>,
    ) -> Option<Committed> {
        let (request, host) = (commit.request, commit.host.clone());
        let random = if commit.logs_in() { call.entropy.random() } else { 0 };
        let mut shard = self.shard(visitor.partition());
        if shard.knows(visit) || shard.has_ended(visit) {
            return None;
        }
        let asked = shard.asked(call.now, &host, fx);
        let start = NewSession { visit, visitor, identity: Identity::Cookie, fingerprint: key, landed: None };
        let mut committed = shard.bring(&asked, start, commit, random, fx)?;
        if !commit.cookies {
            // The token without a visit joins it.
            committed.issue = None;
        }
        shard.remember(request, &committed);
        Some(committed)
    }

    /// A repeated answer waits as the first one did.
    fn newest_of(&self, reply: &Committed) -> Lsn {
        let chain = reply.visit.and_then(|visit| self.shard(visit.partition()).chain(visit));
        chain.map_or(Lsn::NONE, |chain| chain.last)
    }

    fn admitted<L: Log>(
        &self,
        call: &Call<'_, L>,
        visit: VisitId,
        starting: Starting,
        cookies: bool,
        fx: &mut Effects<'_, L>,
    ) -> Result<Committed, Starting> {
        let Starting { visitor, key, mut commit } = starting;
        let cookies = cookies && commit.cookies;
        let applicant = Applicant {
            visit,
            needs_own: commit.needs_own(),
            returning: commit.token.filter(|token| token.visit.is_none()).map(|token| token.visitor),
            cookies,
        };
        let (request, host) = (commit.request, commit.host.clone());
        let token = commit.token.filter(|token| token.visitor == visitor);
        let random = if commit.logs_in() { call.entropy.random() } else { 0 };
        match self.indexes.admit(key, &applicant, call.now) {
            Admission::Own { instead_of } => {
                if let Some(oldest) = instead_of {
                    let ended = self.shard(oldest.partition()).terminate(oldest, EndReason::Evicted, call.now, fx);
                    add(&self.indexes.counters.evicted_fingerprint, u64::from(ended));
                }
                let start = NewSession { visit, visitor, identity: Identity::Cookie, fingerprint: key, landed: None };
                let mut shard = self.shard(visitor.partition());
                if shard.has_ended(visit) {
                    // The same commit started it once, and a restart has forgotten what it was answered.
                    drop(shard);
                    self.indexes.withdrawn(key, visit);
                    return Ok(session::gone());
                }
                if shard.knows(visit) {
                    // The same commit is being carried out twice at once.
                    drop(shard);
                    add(&self.indexes.counters.commits_repeated, 1);
                    let born = Token::birth(token.as_ref(), call.now);
                    let number = token.map_or(1, |token| token.number.saturating_add(1));
                    let issue = Some(Token { visitor, visit: Some(visit), number, rotation: 0, born });
                    let reply =
                        Committed { outcome: Outcome::Started, visit: Some(visit), issue, durable: true, refused: 0 };
                    fx.reached(self.newest_of(&reply));
                    return Ok(reply);
                }
                let asked = shard.asked(call.now, &host, fx);
                let committed = shard.start(&asked, start, &mut commit, random, fx);
                shard.remember(request, &committed);
                drop(shard);
                if committed.outcome != Outcome::Started {
                    self.indexes.withdrawn(key, visit);
                }
                Ok(committed)
            }
            Admission::Shared(shared) => {
                let start = NewSession {
                    visit: shared,
                    visitor,
                    identity: Identity::Fingerprint,
                    fingerprint: key,
                    landed: None,
                };
                let mut shard = self.shard(shared.partition());
                let asked = shard.asked(call.now, &host, fx);
                let committed = shard.commit_shared(&asked, start, commit, cookies, fx);
                drop(shard);
                let mut committed = committed.map_err(|commit| Starting { visitor, key, commit })?;
                let (number, born) = (token.map_or(0, |token| token.number), Token::birth(token.as_ref(), call.now));
                committed.issue = cookies.then_some(Token { visitor, visit: None, number, rotation: 0, born });
                self.shard(visitor.partition()).remember(request, &committed);
                Ok(committed)
            }
        }
    }

    /// Ends the sessions that a newer login of their user takes the place of.
    fn supersede<L: Log>(&self, call: &Call<'_, L>, fx: &mut Effects<'_, L>) {
        while let Some(visit) = fx.superseded.pop() {
            self.shard(visit.partition()).terminate(visit, EndReason::Superseded, call.now, fx);
        }
    }

    /// A request that began will not be committed, or one that went on after its commit is over.
    pub fn release<L: Log>(&self, call: &Call<'_, L>, hold: SessionHold) {
        let mut fx = Effects::new(call.log, &self.indexes);
        self.shard(hold.visit.partition()).release(hold, call.now, &mut fx);
    }

    /// A request goes on after its commit: holds off the session's idle expiry until it is released.
    pub fn hold_on(&self, visit: VisitId, now: Timestamp) -> Option<SessionHold> {
        self.shard(visit.partition()).hold_on(visit, now)
    }

    /// Ends a session. Whether it was open.
    pub fn terminate<L: Log>(&self, call: &Call<'_, L>, visit: VisitId, reason: EndReason) -> Done<bool> {
        let mut fx = Effects::new(call.log, &self.indexes);
        let reply = self.shard(visit.partition()).terminate(visit, reason, call.now, &mut fx);
        Done { reply, newest: fx.newest }
    }

    /// Ends what is due in one shard, within the budget, which is what may be done before others get their turn.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn tick<L: Log>(&self, call: &Call<'_, L>, shard: usize, budget: TickBudget) -> Ticked {
        lock(&self.shards[shard]).tick(call.now, budget, &mut Effects::new(call.log, &self.indexes))
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Works on each shard in turn.
    pub fn for_each_shard(&self, mut work: impl FnMut(&mut Shard)) {
        self.shards.iter().for_each(|shard| work(&mut lock(shard)));
    }

    /// An open session.
    pub fn get(&self, visit: VisitId) -> Option<Open> {
        self.shard(visit.partition()).get(visit)
    }

    /// Open sessions.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sessions that a user is in, the newest login last.
    pub fn of_user(&self, user: &UserId) -> Vec<VisitId> {
        self.indexes.sessions_of(user)
    }

    /// The name of the site that a host counts to, as known now.
    pub fn site(&self, host: HostIndex) -> Box<str> {
        self.indexes.read_sites(|sites| sites.name(host).into())
    }

    /// The name of the site that a host counts to.
    pub fn site_of(&self, host: &Host) -> Box<str> {
        self.indexes.read_sites(|sites| sites.name_of(host).into())
    }

    /// All sites.
    pub fn known_sites(&self) -> Vec<Host> {
        self.indexes.read_sites(|sites| sites.known().cloned().collect())
    }

    /// How often a host became a site.
    pub fn sites_made(&self) -> usize {
        self.indexes.read_sites(Sites::made)
    }

    /// How much of each limit is used.
    pub fn used(&self) -> BudgetUse {
        let mut used = BudgetUse::default();
        self.for_each_shard(|shard| shard.add_used(&mut used));
        self.indexes.add_used(&mut used);
        used
    }

    /// Entries of all tables, queues and lists, which memory follows. Looks at all of them.
    pub fn entries(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries()).sum::<usize>() + self.indexes.entries()
    }

    /// How many sites there can be: all that the settings name, if they name any.
    pub fn sites_max(&self) -> usize {
        self.indexes.read_sites(Sites::max)
    }

    /// How often each limit did something.
    pub fn counts(&self) -> BudgetCounts {
        self.indexes.counts()
    }
}

fn fresh<L>(call: &Call<'_, L>, visitor: Visitor, succeeds: bool, brings: bool) -> Begun {
    let visit = VisitId::new(call.now, call.entropy.random(), visitor.partition());
    // Nobody else gets this id: it names the request, too.
    let request = RequestId::from_u128(visit.as_u128());
    Begun { request, at: call.now, standing: Standing::Fresh(Fresh { visit, visitor, succeeds, brings }) }
}

/// A turn of [`Sessions::tick`] without bound.
pub const UNBOUNDED: TickBudget = TickBudget { ends: usize::MAX, looks: usize::MAX };
