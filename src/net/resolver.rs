//! Names to addresses while requests are served (`resolver`): asked once for all who wait, kept for as long as the
//! answer holds.
//!
//! Each `resolver` directive has one [`Resolver`], shared by all event loops of a worker. As in nginx, an answer
//! holds for its own time or for `valid=`, and a refusal is not kept at all.

mod exchange;
mod message;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use config::{Families, NameServers};
use parking_lot::Mutex;
use tokio::{sync::watch, task::spawn_local, time::timeout};

pub use self::message::{Answer, Service};
use self::message::{Item, Kind, NOT_FOUND, Question};
use crate::clock::{self, Moment};

/// Names that are kept at most; nobody needs more, and whoever chooses names in requests cannot fill the memory.
const NAMES_MAX: usize = 10_000;

/// What nginx calls a lookup that took too long.
const TIMED_OUT: u16 = 110;

/// Name servers, and what they have told.
pub struct Resolver {
    conf: Arc<NameServers>,
    names: Mutex<HashMap<Arc<str>, Entry>>,
    /// Number of the server that is asked first next time.
    next_server: AtomicUsize,
}

/// Why a name has no addresses, in DNS's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unresolved(u16);

impl Unresolved {
    /// Whether the name is known not to exist.
    pub fn is_not_found(self) -> bool {
        self.0 == NOT_FOUND
    }
}

/// Addresses of a name.
#[derive(Debug)]
pub struct Addresses {
    list: Vec<IpAddr>,
    valid_until: Moment,
    /// Where the next one who asks begins.
    turn: AtomicUsize,
}

type Outcome = Result<Arc<Addresses>, Unresolved>;

enum Entry {
    Known(Arc<Addresses>),
    /// Somebody asks already.
    Asking(watch::Sender<Option<Outcome>>),
}

/// What is to be done for one who wants a name.
enum Next {
    Take(Arc<Addresses>),
    Wait(watch::Receiver<Option<Outcome>>),
}

impl Resolver {
    /// Makes a resolver that knows nothing yet.
    pub fn new(conf: Arc<NameServers>) -> Arc<Self> {
        Arc::new(Self { conf, names: Mutex::default(), next_server: AtomicUsize::new(0) })
    }

    /// Returns `valid=`.
    pub fn valid(&self) -> Option<Duration> {
        self.conf.valid
    }

    /// Finds the addresses of a name. Cancel safe; the question is given up once nobody waits for its answer.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn addresses(self: &Arc<Self>, name: &str, patience: Duration) -> Outcome {
        let name: Arc<str> = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into();
        timeout(patience, self.asked_until_told(&name)).await.unwrap_or(Err(Unresolved(TIMED_OUT)))
    }

    async fn asked_until_told(self: &Arc<Self>, name: &Arc<str>) -> Outcome {
        loop {
            let mut told = match self.next(name) {
                Next::Take(addresses) => return Ok(addresses),
                Next::Wait(told) => told,
            };
            // An error is the end of the event loop that asked: then it is this one's turn.
            if let Ok(outcome) = told.wait_for(Option::is_some).await {
                return outcome.clone().expect("it was waited for");
            }
        }
    }

    fn next(self: &Arc<Self>, name: &Arc<str>) -> Next {
        let now = clock::moment();
        let mut names = self.names.lock();
        match names.get(name) {
            Some(Entry::Known(addresses)) if addresses.valid_until > now => {
                return Next::Take(Arc::clone(addresses));
            }
            Some(Entry::Asking(teller)) => return Next::Wait(teller.subscribe()),
            Some(Entry::Known(_)) | None => {}
        }
        if names.len() >= NAMES_MAX {
            make_room(&mut names, now);
        }
        let (teller, told) = watch::channel(None);
        names.insert(Arc::clone(name), Entry::Asking(teller.clone()));
        drop(names);
        let asking = Asking { resolver: Arc::clone(self), name: Arc::clone(name), teller };
        spawn_local(asking.run());
        Next::Wait(told)
    }

    /// Asks for addresses, whatever is known.
    async fn ask_for_addresses(&self, name: &str) -> Result<Answer<IpAddr>, Unresolved> {
        let of = |kind| async move { self.ask(name, kind).await.map(only_addresses) };
        match self.conf.families {
            Families::Ipv4 => of(Kind::A).await,
            Families::Ipv6 => of(Kind::Aaaa).await,
            Families::Both => match tokio::join!(of(Kind::A), of(Kind::Aaaa)) {
                (Ok(mut first), Ok(second)) => {
                    first.found.extend(second.found);
                    first.ttl = first.ttl.min(second.ttl);
                    Ok(first)
                }
                (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(only),
                (Err(error), Err(_)) => Err(error),
            },
        }
    }

    /// Finds the servers of a service (SRV); each call asks. Cancel safe.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn services(&self, name: &str, patience: Duration) -> Result<Answer<Service>, Unresolved> {
        let asked = timeout(patience, self.ask(name, Kind::Srv)).await;
        let answer = asked.unwrap_or(Err(Unresolved(TIMED_OUT)))?;
        let service = |item| match item {
            Item::Service(service) => Some(service),
            Item::Address(_) => None,
        };
        Ok(Answer { found: answer.found.into_iter().filter_map(service).collect(), ttl: answer.ttl })
    }

    async fn ask(&self, name: &str, kind: Kind) -> Result<Answer<Item>, Unresolved> {
        let question = Question::new(name, kind).ok_or(Unresolved(NOT_FOUND))?;
        let first = self.next_server.fetch_add(1, Ordering::Relaxed);
        let mut answer = exchange::ask(&self.conf.addresses, first, question).await.map_err(Unresolved)?;
        answer.ttl = self.conf.valid.unwrap_or(answer.ttl);
        Ok(answer)
    }
}

fn only_addresses(answer: Answer<Item>) -> Answer<IpAddr> {
    let address = |item| match item {
        Item::Address(address) => Some(address),
        Item::Service(_) => None,
    };
    Answer { found: answer.found.into_iter().filter_map(address).collect(), ttl: answer.ttl }
}

/// Forgets what holds no more, and if that is nothing, all that nobody waits for.
fn make_room(names: &mut HashMap<Arc<str>, Entry>, now: Moment) {
    let before = names.len();
    names.retain(|_, entry| match entry {
        Entry::Known(addresses) => addresses.valid_until > now,
        Entry::Asking(_) => true,
    });
    if names.len() == before {
        names.retain(|_, entry| matches!(entry, Entry::Asking(_)));
    }
}

/// A question on its way.
struct Asking {
    resolver: Arc<Resolver>,
    name: Arc<str>,
    teller: watch::Sender<Option<Outcome>>,
}

impl Asking {
    async fn run(self) {
        let answer = tokio::select! {
            answer = self.resolver.ask_for_addresses(&self.name) => answer,
            () = self.teller.closed() => return,
        };
        let outcome = answer.map(|answer| {
            Arc::new(Addresses {
                list: answer.found,
                valid_until: clock::moment().after(answer.ttl),
                turn: AtomicUsize::new(0),
            })
        });
        if let Ok(addresses) = &outcome {
            let known = Entry::Known(Arc::clone(addresses));
            self.resolver.names.lock().insert(Arc::clone(&self.name), known);
        }
        // Those who waited may have left meanwhile.
        let _ = self.teller.send(Some(outcome));
    }
}

impl Drop for Asking {
    /// Lets the next one ask anew, unless there is an answer to keep.
    fn drop(&mut self) {
        let mut names = self.resolver.names.lock();
        if let Some(Entry::Asking(teller)) = names.get(&self.name)
            && teller.same_channel(&self.teller)
        {
            names.remove(&self.name);
        }
    }
}

impl Addresses {
    /// Returns all addresses, beginning with another one each time. As nginx, which begins with any.
    pub fn in_turn(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.list.len();
        self.list.iter().cycle().skip(first).take(self.list.len()).copied()
    }

    /// Returns all addresses as they were told.
    pub fn list(&self) -> &[IpAddr] {
        &self.list
    }

    /// Returns until when they hold.
    pub fn valid_until(&self) -> Moment {
        self.valid_until
    }
}

/// The code and its meaning, in nginx's words: `3: Host not found`.
impl fmt::Display for Unresolved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            1 => "Format error",
            2 => "Server failure",
            NOT_FOUND => "Host not found",
            4 => "Unimplemented",
            5 => "Operation refused",
            TIMED_OUT => "Operation timed out",
            _ => "Unknown error",
        };
        write!(out, "{}: {meaning}", self.0)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Resolver").field("conf", &self.conf).finish_non_exhaustive()
    }
}
