//! Active checks of peers (`health_check`): once for the whole worker, on the thread of its upkeep.
//!
//! `probe.rs` asks one peer, by way of `talk.rs`; `verdict.rs` judges the answer. What checks in a row make of a peer is decided in
//! `upstream/health.rs`. Where several checks look at a group, one that fails is enough to take a peer out.

mod probe;
mod talk;
mod verdict;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use config::{AtFirst, Content, HealthCheck, LocationConf};
use tokio::{
    task::{JoinSet, spawn_local},
    time::{sleep, timeout},
};

use self::{
    probe::Probe,
    talk::{Failure, Kept},
};
use super::site::Site;
use crate::{
    clock,
    error_log::{self, Level, system_words},
    upstream::{
        Group, Health, Peer, PeerId,
        health::{Before, Change, Outcome, Record},
        remembered::{self, Remembered},
    },
};

/// One `health_check`, and whom it is about.
#[derive(Clone)]
pub struct Check {
    /// The group.
    pub group: Arc<Group>,
    /// The location that it stands in: checks are requests of it.
    pub location: Arc<LocationConf>,
    /// Its number there.
    pub number: usize,
}

/// Begins all checks of a site as tasks of this thread. Returns once peers that are not in use before their first check
/// had it, or after `patience`.
pub async fn begin(site: &Arc<Site>, patience: Duration) {
    let remembered = remember(Remembered::read());
    let mut panels: HashMap<u64, Rc<Panel>> = HashMap::new();
    let mut first = JoinSet::new();
    for (number, check) in site.checks().iter().enumerate() {
        let panel = panels.entry(check.group.id()).or_insert_with(|| Rc::new(Panel::of(&check.group)));
        let watch = Rc::new(Watch {
            site: Arc::clone(site),
            check: check.clone(),
            number,
            panel: Rc::clone(panel),
            records: RefCell::default(),
            kept: RefCell::default(),
            under_way: RefCell::default(),
        });
        let is_mandatory = watch.conf().at_first != AtFirst::Healthy;
        if is_mandatory {
            watch.remember(&remembered);
            check.group.begin_unhealthy(|peer| watch.is_healthy(peer));
        }
        let mut round = watch.round();
        if is_mandatory {
            first.spawn_local(async move { done(&mut round).await });
        } else {
            round.detach_all();
        }
        spawn_local(watch.keep_on());
    }
    // Those that take longer go on; nobody waits for them.
    let _ = timeout(patience, done(&mut first)).await;
    first.detach_all();
}

/// Takes what is remembered; where the system fails, it is nothing.
fn remember<T: Default>(notes: io::Result<T>) -> T {
    notes.unwrap_or_else(|error| {
        let words = system_words(&error);
        error_log::write(Level::Alert, format_args!("notes of healthy peers failed ({words})"));
        T::default()
    })
}

/// Waits until all tasks are over. Cancel safe.
async fn done(tasks: &mut JoinSet<()>) {
    // A panic ends one of them alone; the hook of the process has written it to the log.
    while tasks.join_next().await.is_some() {}
}

/// What all checks of one group say.
struct Panel {
    group: Arc<Group>,
    /// Which checks speak against a peer.
    against: RefCell<HashMap<PeerId, HashSet<usize>>>,
}

impl Panel {
    fn of(group: &Arc<Group>) -> Self {
        Self { group: Arc::clone(group), against: RefCell::default() }
    }

    fn note(&self, check: usize, peer: &Peer, health: Health) {
        let mut all = self.against.borrow_mut();
        let against = all.entry(peer.id).or_default();
        match health {
            Health::Healthy => against.remove(&check),
            Health::Unhealthy => against.insert(check),
        };
        let health = if against.is_empty() { Health::Healthy } else { Health::Unhealthy };
        if peer.health() != health {
            self.group.set_health(peer, health, clock::moment());
        }
    }
}

/// One check at work.
struct Watch {
    site: Arc<Site>,
    check: Check,
    /// Its number among all checks.
    number: usize,
    panel: Rc<Panel>,
    records: RefCell<HashMap<PeerId, Record>>,
    /// Connections for the next checks (`keepalive_time`).
    kept: RefCell<HashMap<PeerId, Kept>>,
    /// Peers that are being asked: a slow one is not asked twice at a time.
    under_way: RefCell<HashSet<PeerId>>,
}

impl Watch {
    fn conf(&self) -> &HealthCheck {
        &self.check.location.health_checks[self.check.number]
    }

    async fn keep_on(self: Rc<Self>) {
        loop {
            sleep(self.pause()).await;
            self.round().detach_all();
        }
    }

    fn pause(&self) -> Duration {
        let conf = self.conf();
        // Without randomness there is no jitter, which is no reason not to check.
        let chance = getrandom::u32().unwrap_or_default();
        conf.interval + conf.jitter.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    /// Asks all peers, each in a task of its own.
    fn round(self: &Rc<Self>) -> JoinSet<()> {
        let peers = self.panel.group.peers();
        let is_there = |id: &PeerId| peers.iter().any(|peer| peer.id == *id);
        self.panel.against.borrow_mut().retain(|id, _| is_there(id));
        self.records.borrow_mut().retain(|id, _| is_there(id));
        self.kept.borrow_mut().retain(|id, _| is_there(id));
        let mut tasks = JoinSet::new();
        for peer in peers {
            let is_down = self.panel.group.conf.servers[peer.server].down;
            if is_down || !self.under_way.borrow_mut().insert(peer.id) {
                continue;
            }
            self.meet(&peer);
            let watch = Rc::clone(self);
            tasks.spawn_local(async move {
                let found = watch.ask(&peer).await;
                watch.under_way.borrow_mut().remove(&peer.id);
                watch.note(&peer, &found);
            });
        }
        tasks
    }

    async fn ask(&self, peer: &Peer) -> Result<(), Failure> {
        let location = &self.check.location;
        let Content::Proxy(pass) = &location.content else {
            unreachable!("a check stands beside a proxy_pass")
        };
        let computed = &self.site.http().computed;
        let mut kept = self.kept.borrow_mut().remove(&peer.id);
        let securing = self.site.location(location.id).securing.as_ref();
        let probe = Probe { location, pass, securing, check: self.conf(), computed };
        let found = probe.ask(peer, &mut kept).await;
        if let Some(kept) = kept {
            self.kept.borrow_mut().insert(peer.id, kept);
        }
        found
    }

    /// Begins with what was known of the peers that are there.
    fn remember(&self, remembered: &Remembered) {
        for peer in self.panel.group.peers() {
            let was_healthy = remembered.has(&self.panel.group.conf.name, &peer.name);
            let before = if was_healthy { Before::Healthy } else { Before::Unknown };
            self.records.borrow_mut().insert(peer.id, Record::new(self.conf().at_first, before));
        }
    }

    fn is_healthy(&self, peer: &Peer) -> bool {
        self.records.borrow().get(&peer.id).is_some_and(|record| record.health() == Health::Healthy)
    }

    /// Begins to keep a record of a peer.
    fn meet(&self, peer: &Peer) {
        let mut records = self.records.borrow_mut();
        let record =
            *records.entry(peer.id).or_insert_with(|| Record::new(self.conf().at_first, Before::Unknown));
        self.panel.note(self.number, peer, record.health());
    }

    fn note(&self, peer: &Peer, found: &Result<(), Failure>) {
        let mut records = self.records.borrow_mut();
        // It was replaced while it was being asked.
        let Some(record) = records.get_mut(&peer.id) else { return };
        let outcome = if found.is_ok() { Outcome::Passed } else { Outcome::Failed };
        let change = record.note(outcome, self.conf());
        self.panel.note(self.number, peer, record.health());
        let is_persistent = self.conf().at_first == AtFirst::CheckingUnlessRemembered;
        if is_persistent && change != Change::Same {
            remember(remembered::note(&self.panel.group.conf.name, &peer.name, record.health()));
        }
        if let Err(failure @ (Failure::Late { .. } | Failure::Broken { .. })) = found {
            self.log(Level::Error, peer, &failure.to_string());
        }
        match (change, found) {
            (Change::BecameUnhealthy, Err(failure)) => {
                self.log(Level::Warn, peer, &format!("peer is unhealthy while {}", failure.during()));
            }
            (Change::BecameHealthy, _) => self.log(Level::Notice, peer, "peer is healthy"),
            (Change::BecameUnhealthy | Change::Same, _) => {}
        }
    }

    fn log(&self, level: Level, peer: &Peer, what: &str) {
        let name = self.conf().good.as_ref().map_or("", |good| &good.name);
        let (peer, group) = (&peer.name, &self.panel.group.conf.name);
        error_log::write(
            level,
            format_args!("{what}, health check \"{name}\" of peer {peer} in upstream \"{group}\""),
        );
    }
}
