//! Asking an upstream on behalf of the cache, and storing what it answers.
//!
//! Runs as a task of its own, so that a client that leaves costs the others nothing. Bytes go to those who
//! read ([`Ticket`]) as they come and to the disk in batches, on threads that may block. Where the
//! disk fails or is full the answer still reaches everyone; it is only not stored.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{
    Digest, Key, Meta, Parts,
    policy::{
        self, Admission, Answered, Asked, Refusal, Rules, nginx,
        rfc9111::{self, Selected},
    },
};
use config::{FillAbandoned, LocationConf, UseStale};
use http1::{Fields, Method, Version};
use tokio::sync::oneshot;

use super::{
    file::{CacheFile, Destination},
    fill::{FillReader, Incomplete, ReadBy, Release, Ticket},
    no_cache::Storing,
    parts::{self, Came},
    pump::{Disk, Pump},
    purge,
    refreshing::{refresh, time_of},
    remembered::Lesson,
    stored_head::{self, Head},
    zone::{Entry, Zone},
};
use crate::http::proxy::{
    request::Outgoing,
    transport::{self, Incoming},
};
use crate::{
    clock,
    http::{
        Fault,
        cache_facts::CacheFacts,
        exchange::UpstreamFacts,
        fault::{Asker, Kind, Side},
        rate::Rate,
        site::EventLoop,
    },
    upstream::Group,
};

/// What is to be asked, and what is to be done with the answer.
pub struct Order {
    /// The location that asks.
    pub location: Arc<LocationConf>,
    /// The request to the upstream.
    pub outgoing: Outgoing,
    /// Who is asked.
    pub group: Arc<Group>,
    /// Where the answer is stored.
    pub zone: Arc<Zone>,
    /// Under which key.
    pub key: Key,
    /// Digest that is asked for: the key's, or that of a variant.
    pub digest: Digest,
    /// A stale entry at hand.
    pub stale: Option<Stale>,
    /// Whether the answer may be stored at all.
    pub storing: Storing,
    /// What it is asked for.
    pub asks: Asks,
    /// Who wants the answer.
    pub asked_by: AskedBy,
    /// How fast the answer may be read.
    pub read_rate: Option<Rate>,
    /// Method of the client's request.
    pub method: Method,
    /// Fields of the request, for Vary.
    pub request_fields: Fields,
    /// Who asked, for the log.
    pub asker: Asker,
    /// The number of the last purge before the upstream is asked.
    pub epoch: u64,
    /// When the upstream is asked.
    pub asked_at: SystemTime,
    /// Whose groups the answer's are.
    pub tag_origin: Vec<u8>,
}

impl Order {
    /// The client's request, as rules see it.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { method: self.method, fields: &self.request_fields, at: self.asked_at }
    }

    /// Whether the answer says nothing of what was asked about, so that the whole is to be asked for, without conditions.
    fn asks_again(&mut self, incoming: &Incoming) -> bool {
        let Some(stale) = self.stale.as_ref().filter(|_| incoming.head.status == 304) else { return false };
        is_about_another(&self.location, &stale.entry, incoming) && self.outgoing.drop_conditions()
    }

    /// The upstream has not answered.
    fn decide_without(&mut self, fault: Fault, facts: &mut CacheFacts) -> Decision {
        match self.stale.take().filter(|stale| stale.covers_fault(&self.location, &fault)) {
            Some(stale) => {
                facts.detail = Some("stale-on-error");
                Decision::ServeStale(stale.entry, Some(fault))
            }
            None => {
                self.fail(&fault);
                Decision::Fail(fault)
            }
        }
    }

    /// The upstream failed, and nothing can be served instead.
    fn fail(&self, fault: &Fault) {
        if self.asked_by == AskedBy::Nobody {
            self.learn(Lesson::Failing, *self.location.cache.stale_retry);
        }
        self.keep_error(fault);
    }

    /// As nginx: only an upstream that cannot be reached, or does not answer, fails for longer than once.
    fn keep_error(&self, fault: &Fault) {
        let status = fault.status();
        if self.storing.is_refused() || !matches!(status, 502 | 504) {
            return;
        }
        if let Some(time) = nginx::valid_for(status, &self.location.cache.valid) {
            self.zone.remembered.keep(self.digest, Lesson::Error(status), time, clock::now());
        }
    }

    /// Whether the fill goes on when nobody waits for it; an update in the background has nobody to begin with.
    fn abandoned(&self) -> FillAbandoned {
        match self.asked_by {
            AskedBy::Nobody => FillAbandoned::Goes,
            AskedBy::Client => fill_abandoned(&self.location),
        }
    }

    /// Spares those who come next what this one went through, for as long as the configuration says.
    fn learn(&self, lesson: Lesson, time: Duration) {
        if !time.is_zero() {
            self.zone.remembered.keep(self.digest, lesson, time, clock::now());
        }
    }

    /// An answer that nobody could store says so of later ones too, unless it is an error of the moment.
    fn learn_from_refused(&self, status: u16) {
        let cache = &self.location.cache;
        match (Cause::of(status), self.asked_by) {
            (Cause::Page, _) => self.learn(Lesson::Uncacheable, *cache.uncacheable),
            (Cause::Moment, AskedBy::Nobody) => self.learn(Lesson::Failing, *cache.stale_retry),
            (Cause::Moment, AskedBy::Client) => {}
        }
    }
}

/// What becomes of a fill of that location whose clients have left.
pub fn fill_abandoned(location: &LocationConf) -> FillAbandoned {
    match *location.proxy.ignore_client_abort {
        true => FillAbandoned::Goes,
        false => *location.cache.fill_abandoned,
    }
}

/// Why an answer is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It is what it is: the next one will not be stored either.
    Page,
    /// The upstream has a bad moment.
    Moment,
}

impl Cause {
    fn of(status: u16) -> Self {
        if status >= 500 || status == 429 { Self::Moment } else { Self::Page }
    }
}

/// Who wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// A client, who waits for it.
    Client,
    /// Nobody: an update in the background.
    Nobody,
}

/// What an upstream is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The whole.
    Whole,
    /// A range of it, which the key names (`slice`).
    Slice,
    /// A range of it.
    Part,
}

/// A stale entry that is at hand while the upstream is asked.
pub struct Stale {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Whether it may be served when the upstream fails.
    pub on_error: OnError,
}

/// Whether a stale entry may be served when the upstream fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The answer itself allows it (`stale-if-error`).
    Allowed,
    /// Where the configuration allows it.
    Unstated,
    /// The answer forbids it.
    Forbidden,
}

/// What became of an [`Order`].
pub struct Answer {
    /// The answer.
    pub outcome: Result<Outcome, Fault>,
    /// What the log wants to know.
    pub facts: UpstreamFacts,
}

/// An answer.
pub enum Outcome {
    /// It is being stored, and can be read.
    Stored(FillReader, Arc<Incomplete>),
    /// The stale entry is good again.
    Refreshed(Arc<Entry>),
    /// It is not stored: the one who asked gets it.
    Through(Box<Incoming>),
    /// The stale entry is to be served, because of this fault or of the answer's status.
    Stale(Arc<Entry>, Option<Fault>),
}

impl Default for Answer {
    /// The answer of a task that died.
    fn default() -> Self {
        let fault = Fault {
            during: "reading upstream",
            ..Fault::new(Side::Server, Kind::System, "the fill of the cache was given up")
        };
        Self { outcome: Err(fault), facts: UpstreamFacts::default() }
    }
}

/// Begins to carry out an order; it goes on whether or not anyone waits for the answer.
pub fn start(event_loop: &Rc<EventLoop>, order: Order, ticket: Ticket) -> oneshot::Receiver<Answer> {
    let (sender, receiver) = oneshot::channel();
    let counted = event_loop.fills.begin();
    let work = carry_out(Rc::clone(event_loop), order, ticket, sender);
    tokio::task::spawn_local(async move {
        work.await;
        drop(counted);
    });
    receiver
}

async fn carry_out(
    event_loop: Rc<EventLoop>,
    mut order: Order,
    mut ticket: Ticket,
    mut sender: oneshot::Sender<Answer>,
) {
    let mut facts = UpstreamFacts::default();
    let rule = order.abandoned();
    let decision = loop {
        let (outgoing, whom) = (&mut order.outgoing, order.asker.whom(&order.request_fields));
        let fetch =
            transport::fetch(&event_loop, &order.location, &order.group, outgoing, None, whom, &mut facts);
        let fetched = tokio::select! {
            biased;
            fetched = fetch => fetched,
            () = abandoned(&mut sender, &ticket), if !rule.goes_on(0, None) => return,
        };
        match fetched {
            Ok(incoming) if order.asks_again(&incoming) => incoming.body.finish(&mut facts),
            Ok(incoming) => {
                order.storing.settle(&facts, &incoming.head);
                break decide(&mut order, incoming, &mut facts.cache);
            }
            Err(fault) => break order.decide_without(fault, &mut facts.cache),
        }
    };
    let (outcome, release) = match decision {
        Decision::Store(incoming, meta) => {
            order.zone.remembered.forget(&order.digest);
            let (reader, incomplete, pump) = begin_to_store(order, ticket, *incoming, meta);
            let last_try = facts.clone();
            // Whoever asked may have left; the fill goes on for those who come.
            let _ = sender.send(Answer { outcome: Ok(Outcome::Stored(reader, incomplete)), facts });
            return pump.run(last_try).await;
        }
        Decision::Refresh(entry, incoming) => {
            let entry = refresh(&order, &mut ticket, entry, &incoming).await;
            incoming.body.finish(&mut facts);
            (Ok(Outcome::Refreshed(entry)), Release::LookAgain)
        }
        Decision::ServeStale(entry, fault) => {
            order.learn(Lesson::Failing, *order.location.cache.stale_retry);
            (Ok(Outcome::Stale(entry, fault)), Release::ServeStale)
        }
        Decision::Refuse(incoming) => {
            order.learn_from_refused(incoming.head.status);
            (Ok(Outcome::Through(incoming)), Release::Uncacheable)
        }
        Decision::PassThrough(incoming) => (Ok(Outcome::Through(incoming)), Release::Uncacheable),
        Decision::Fail(fault) => (Err(fault), Release::LookAgain),
    };
    ticket.release(release);
    // As above: an answer that nobody waits for goes nowhere.
    let _ = sender.send(Answer { outcome, facts });
}

/// Waits until neither the one who asked nor anyone else waits for the answer.
async fn abandoned(sender: &mut oneshot::Sender<Answer>, ticket: &Ticket) {
    sender.closed().await;
    ticket.deserted().await;
}

/// Stores an answer that has come already, where that may be; otherwise it is given back.
pub(super) fn store(
    event_loop: &EventLoop,
    order: Order,
    ticket: Ticket,
    incoming: Box<Incoming>,
    facts: &mut UpstreamFacts,
) -> Result<(FillReader, Arc<Incomplete>), Box<Incoming>> {
    let Ok(meta) = admit(&order, &incoming, &mut facts.cache) else { return Err(incoming) };
    order.zone.remembered.forget(&order.digest);
    let (reader, incomplete, pump) = begin_to_store(order, ticket, *incoming, meta);
    let last_try = facts.clone();
    let counted = event_loop.fills.begin();
    tokio::task::spawn_local(async move {
        pump.run(last_try).await;
        drop(counted);
    });
    Ok((reader, incomplete))
}

/// Whether an expired answer is asked for with its validators.
pub(super) fn validates(location: &LocationConf) -> bool {
    *location.cache.revalidate || location.cache.follows_rfc()
}

/// RFC 9111, 4.3.4: whether a 304 names another answer than the one that was asked about.
fn is_about_another(location: &LocationConf, entry: &Entry, incoming: &Incoming) -> bool {
    location.cache.follows_rfc()
        && rfc9111::selected(&incoming.head.fields, &entry.head.fields) == Selected::Another
}

/// What is done with an upstream's answer.
enum Decision {
    Store(Box<Incoming>, Meta),
    Refresh(Arc<Entry>, Box<Incoming>),
    ServeStale(Arc<Entry>, Option<Fault>),
    /// The answer is not to be stored, whoever asks.
    Refuse(Box<Incoming>),
    /// This one is not stored.
    PassThrough(Box<Incoming>),
    Fail(Fault),
}

/// Why an answer is not stored.
enum NotAdmitted {
    /// It says so, and will say so again.
    Refused,
    /// This one cannot be.
    ThisOnce,
}

fn decide(order: &mut Order, incoming: Incoming, facts: &mut CacheFacts) -> Decision {
    let location = &order.location;
    let incoming = Box::new(incoming);
    let status = incoming.head.status;
    if let Some(stale) = order.stale.take() {
        if status == 304 && validates(location) && !is_about_another(location, &stale.entry, &incoming) {
            facts.stored = true;
            return Decision::Refresh(stale.entry, incoming);
        }
        if stale.covers_status(location, status) {
            facts.detail = Some("stale-on-error");
            return Decision::ServeStale(stale.entry, None);
        }
    }
    match admit(order, &incoming, facts) {
        Ok(meta) => Decision::Store(incoming, meta),
        Err(NotAdmitted::Refused) => Decision::Refuse(incoming),
        Err(NotAdmitted::ThisOnce) => Decision::PassThrough(incoming),
    }
}

/// Decides whether an answer is stored, and what its file is to say of it.
fn admit(order: &Order, incoming: &Incoming, facts: &mut CacheFacts) -> Result<Meta, NotAdmitted> {
    // As nginx: an answer without a head is not stored. Nothing tells it from a broken one.
    let headless = incoming.head.version == Version::V0_9;
    if order.storing.is_refused() {
        facts.detail = Some("no-cache");
    }
    if order.storing.is_refused() || incoming.upgraded.is_some() || headless {
        return Err(NotAdmitted::ThisOnce);
    }
    let (status, part) = judged_as(order, incoming).ok_or(NotAdmitted::ThisOnce)?;
    let fields = &incoming.head.fields;
    let now = clock::now();
    let answered = Answered { status, fields, at: now };
    match Rules::of(&order.location).admit(&order.asked(), &answered) {
        Admission::Refused(refusal) => {
            facts.detail = Some(refusal.as_str());
            Err(match refusal {
                // It is the request that it is refused for: the next one's answer may be stored.
                Refusal::Authorization => NotAdmitted::ThisOnce,
                _ => NotAdmitted::Refused,
            })
        }
        // Parts of several variants are not told apart.
        Admission::Store { vary, .. } if part.is_some() && !vary.is_empty() => Err(NotAdmitted::ThisOnce),
        Admission::Store { terms, vary } => {
            facts.stored = true;
            let etag = fields.get("etag").unwrap_or_default().to_vec();
            let variant = variant_of(order, &vary, &etag, part.as_ref());
            let mut meta = Meta {
                last_modified: fields.get("last-modified").and_then(time_of),
                date: now,
                etag,
                vary,
                variant,
                parts: part.map(Box::new),
                body_len: incoming.body.length(),
                body_sum: order.zone.states_sums().then_some(0),
                epoch: order.epoch,
                tags: purge::tags(&order.location.cache, fields, &order.tag_origin),
                ..Meta::default()
            };
            meta.set_terms(&terms);
            Ok(meta)
        }
    }
}

/// Returns the status that an answer is judged by, and what part of a whole it is; none where it is this request's alone.
///
/// RFC 9111, 3.3: a part is stored on the terms of its whole. nginx has rules for 206.
fn judged_as(order: &Order, incoming: &Incoming) -> Option<(u16, Option<Parts>)> {
    let status = incoming.head.status;
    match order.asks {
        Asks::Slice if status == 206 && order.location.cache.follows_rfc() => Some((200, None)),
        Asks::Whole | Asks::Slice => Some((status, None)),
        Asks::Part => match parts::came(&incoming.head, incoming.body.length()) {
            Came::Whole => Some((status, None)),
            Came::Part(part) => Some((200, Some(part))),
            Came::Own => None,
        },
    }
}

/// The digest that tells an entry from others of its key: of the fields that it varies with, or of its place in the whole.
fn variant_of(order: &Order, vary: &[u8], etag: &[u8], part: Option<&Parts>) -> Digest {
    match part.and_then(|part| part.ranges.first()) {
        Some(range) => order.key.part_digest(etag, range),
        None if vary.is_empty() => Digest::default(),
        None => {
            let matching = Rules::of(&order.location).matching();
            policy::vary::variant(&order.key.digest, vary, &order.request_fields, matching)
        }
    }
}

impl OnError {
    /// Whether it may be served in a case that the configuration may name.
    pub(super) fn allows(self, use_stale: &UseStale, names_case: impl Fn(&UseStale) -> bool) -> bool {
        match self {
            Self::Allowed => true,
            Self::Unstated => names_case(use_stale),
            Self::Forbidden => false,
        }
    }
}

impl Stale {
    /// Whether it may be served instead of an answer with that status.
    fn covers_status(&self, location: &LocationConf, status: u16) -> bool {
        match self.on_error {
            OnError::Forbidden => false,
            OnError::Allowed if Rules::of(location).is_error(status) => true,
            OnError::Allowed | OnError::Unstated => location.cache.use_stale.after.has_status(status),
        }
    }

    /// Whether it may be served where there was no answer.
    fn covers_fault(&self, location: &LocationConf, fault: &Fault) -> bool {
        let allows =
            |names_case: fn(&UseStale) -> bool| self.on_error.allows(&location.cache.use_stale, names_case);
        match fault.kind {
            Kind::Timeout => allows(|use_stale| use_stale.after.timeout),
            Kind::InvalidHeader => allows(|use_stale| use_stale.after.invalid_header),
            Kind::Connection | Kind::NoPeers => allows(|use_stale| use_stale.after.error),
            Kind::Status(_) | Kind::BodyTooLarge | Kind::InvalidBody | Kind::NoServer | Kind::System => false,
        }
    }
}

/// Makes an answer readable for all, and prepares its way to the disk.
fn begin_to_store(
    order: Order,
    mut ticket: Ticket,
    incoming: Incoming,
    meta: Meta,
) -> (FillReader, Arc<Incomplete>, Pump) {
    let Incoming { head, head_bytes, mut body, .. } = incoming;
    let abandoned = order.abandoned();
    let came = Head { parsed: head, bytes: head_bytes };
    let head = stored_head::of(&order.location, came, meta.date);
    let matching = Rules::of(&order.location).matching();
    let (main, asked_for) = (&order.key.digest, &order.digest);
    let digest = match &meta.parts {
        Some(_) => meta.variant,
        None => policy::vary::store_under(main, asked_for, &meta.vary, &order.request_fields, matching),
    };
    let entry = Arc::new(Entry::arriving(meta.clone(), head.parsed));
    let incomplete = Arc::new(Incomplete { entry, length: body.length() });
    ticket.publish(Arc::clone(&incomplete));
    // Joined before the disk is asked: it may fail sooner than the one who asked is told.
    let reader =
        FillReader::join(Arc::clone(ticket.fill()), ReadBy::Initiator).expect("it was published just now");
    let destination = Destination {
        zone: order.zone,
        key: order.key,
        digest,
        meta,
        head: head.bytes,
        temp_dir: order.location.proxy.temp_path.path.clone(),
    };
    let length = incomplete.length;
    body.limit_rate(order.read_rate);
    let disk = match ticket.take_permit() {
        Some(permit) => {
            let (incomplete, fill) = (Arc::clone(&incomplete), Arc::clone(ticket.fill()));
            Disk::Idle(Box::new(CacheFile::new(destination, incomplete, fill, permit)))
        }
        None => Disk::Failed,
    };
    (reader, incomplete, Pump::new(ticket, body, length, disk).abandoned(abandoned))
}
