//! The cache's side of a request: look up, serve, wait, or ask and store.
//!
//! Every path through here ends in one of four ways: an entry is served, an answer is read while it is
//! being stored, an answer passes through uncached, or the client gets an error. Who asks the
//! upstream is decided by [`Zone::turn`]; nobody else waits longer than `proxy_cache_lock_timeout` (`waiting.rs`).

mod parts;
mod waiting;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::{
    Digest, Key, Meta,
    policy::{self, CacheStatus, Forward, Restraint, Reuse, Rules, Wishes},
};
use config::{CacheConf, FillAbandoned, ProxyPass, UseStale};

use self::{
    parts::Question,
    waiting::{Waited, follow},
};
use super::{
    fill::Ticket,
    no_cache::{self, Storing},
    purge, range_offset,
    remembered::Lesson,
    stored,
    storing::{self, AskedBy, OnError, Order, Outcome, Stale},
    zone::{Entry, Turn, Zone},
};
use crate::http::proxy::{
    affinity, any_true, client_left, deliver, hints, intercept, limit_rate, pass_on,
    request::{self, Purpose},
    transport::Incoming,
};
use crate::{
    clock::{self, Moment},
    http::{
        Exchange, Fault,
        cache_facts::Held,
        fault::{self, Asker},
        phases::Ending,
        rate, request_body,
    },
    upstream::Group,
};

/// One request's dealings with a zone.
struct Dealing<'a> {
    pass: &'a ProxyPass,
    group: &'a Arc<Group>,
    zone: Arc<Zone>,
    key: Key,
    /// Digest in use: the key's, or that of the variant that this request wants.
    digest: Digest,
    waited_since: Moment,
    /// How long to wait for another process before looking again.
    pause: Duration,
    /// Whether an absent entry was looked for again at our turn.
    looked_twice: bool,
    /// Why the upstream would have to be asked.
    forward: Forward,
    /// What part the upstream is asked for, where it is not the whole.
    question: Option<Question>,
    /// What the request itself says of that, where it may (`proxy_cache_request_directives`).
    wishes: Option<Wishes>,
}

/// What a look into the cache leads to.
enum Step {
    /// The request's end.
    End(Ending),
    /// The cache has changed: look again.
    LookAgain,
}

/// Answers a request from the cache, or asks the upstream and stores what comes.
pub(super) async fn serve(
    exchange: &mut Exchange,
    pass: &ProxyPass,
    group: &Arc<Group>,
    zone: Arc<Zone>,
) -> Ending {
    if !exchange.body.is_absent() {
        // As nginx: a body is read first, so that the key may name it.
        if let Err(fault) = request_body::collect(exchange).await {
            return Ending::Fail(fault);
        }
    }
    let key = Key::new(request::cache_key(exchange, pass));
    let mut dealing = Dealing::new(pass, group, zone, key);
    if *exchange.location.cache.request_directives {
        dealing.wishes = Some(Wishes::read(&exchange.head.fields));
    }
    if exchange.location.cache.status.is_some() {
        exchange.upstream.cache.key = Some(dealing.key.text.as_slice().into());
    }
    if let Some(question) = parts::missing(exchange) {
        return dealing.ask_for_missing(exchange, question).await;
    }
    if any_true(exchange, &exchange.location.cache.bypass) {
        return dealing.bypass(exchange).await;
    }
    loop {
        let step = match dealing.find(exchange).await {
            Some(entry) => dealing.found(exchange, entry).await,
            None => dealing.absent(exchange).await,
        };
        match step {
            Step::End(ending) => return ending,
            Step::LookAgain => {}
        }
    }
}

impl<'a> Dealing<'a> {
    fn new(pass: &'a ProxyPass, group: &'a Arc<Group>, zone: Arc<Zone>, key: Key) -> Self {
        Self {
            pass,
            group,
            zone,
            digest: key.digest,
            key,
            waited_since: clock::moment(),
            pause: waiting::LOOKS_AGAIN_AFTER,
            looked_twice: false,
            forward: Forward::UriMiss,
            question: None,
            wishes: None,
        }
    }
}

impl Dealing<'_> {
    /// Looks for the entry of this request: under the key, and where that holds another variant, under the variant's own digest.
    async fn find(&mut self, exchange: &Exchange) -> Option<Arc<Entry>> {
        let entry = self.zone.find(&self.key, &self.digest).await?;
        if entry.meta.vary.is_empty() {
            return Some(entry);
        }
        let variant = self.variant_for(exchange, &entry.meta);
        if variant == entry.meta.variant {
            return Some(entry);
        }
        self.digest = variant;
        self.forward = Forward::VaryMiss;
        let entry = self.zone.find(&self.key, &variant).await?;
        (entry.meta.variant == variant).then_some(entry)
    }

    /// The digest of what this request would get of a key that varies.
    fn variant_for(&self, exchange: &Exchange, meta: &Meta) -> Digest {
        let matching = Rules::of(&exchange.location).matching();
        policy::vary::variant(&self.key.digest, &meta.vary, &exchange.head.fields, matching)
    }

    /// Serves a fresh entry; has a stale one updated, or serves it where that is allowed.
    async fn found(&mut self, exchange: &mut Exchange, entry: Arc<Entry>) -> Step {
        let now = clock::now();
        let reuse = Rules::of(&exchange.location).reuse(&entry.meta, now);
        let (while_updating, on_error) = match self.wished(reuse, &entry, now) {
            Reuse::Fresh => return Step::End(self.hit(exchange, &entry, CacheStatus::Hit)),
            Reuse::Tolerated => return Step::End(self.hit(exchange, &entry, CacheStatus::Stale)),
            Reuse::Stale { while_updating, on_error: true } => (while_updating, OnError::Allowed),
            Reuse::Stale { while_updating, on_error: false } => (while_updating, OnError::Unstated),
            Reuse::AfterValidation => (false, OnError::Forbidden),
        };
        self.forward = if reuse == Reuse::Fresh { Forward::Request } else { Forward::Stale };
        let conf = Arc::clone(&exchange.location);
        let may_serve = while_updating || (on_error != OnError::Forbidden && conf.cache.use_stale.updating);
        // RFC 5861, 3: who is served a stale answer by its own word does not wait for the next.
        let updates_behind = *conf.cache.background_update || (while_updating && conf.cache.follows_rfc());
        let lesson = self.lesson();
        match lesson {
            Some(Lesson::Error(status)) => return Step::End(kept_error(exchange, status)),
            Some(Lesson::Failing)
                if may_serve || on_error.allows(&conf.cache.use_stale, UseStale::allows_failures) =>
            {
                exchange.upstream.cache.detail = Some("stale-retry");
                return Step::End(self.hit(exchange, &entry, CacheStatus::Stale));
            }
            Some(Lesson::Failing | Lesson::Uncacheable) | None => {}
        }
        if !may_serve && let Some(ending) = self.declined(exchange, CacheStatus::Expired).await {
            return Step::End(ending);
        }
        let is_beyond = range_offset::is_beyond(exchange);
        if is_beyond && !may_serve {
            return Step::End(self.uncached(exchange, CacheStatus::Expired).await);
        }
        let stale = Stale { entry: Arc::clone(&entry), on_error };
        match self.zone.turn(&self.key, &self.digest, *conf.cache.lock_age) {
            // Another may have updated it between our look and our turn.
            Turn::Mine(_) if self.zone.has_another(&self.digest, &entry) => Step::LookAgain,
            Turn::Mine(ticket) if may_serve && updates_behind => {
                match self.order(exchange, Some(stale), AskedBy::Nobody).await {
                    // Nobody waits for the answer: the task goes on by itself.
                    Ok(order) => drop(storing::start(&exchange.event_loop, order, ticket)),
                    Err(fault) => fault::log(exchange, &fault),
                }
                Step::End(self.hit(exchange, &entry, CacheStatus::Stale))
            }
            Turn::Mine(ticket) if is_beyond => {
                drop(ticket);
                Step::End(self.uncached(exchange, CacheStatus::Expired).await)
            }
            Turn::Mine(ticket) => {
                Step::End(self.ask(exchange, ticket, Some(stale), CacheStatus::Expired).await)
            }
            Turn::Theirs(_) | Turn::Elsewhere if may_serve => {
                Step::End(self.hit(exchange, &entry, CacheStatus::Updating))
            }
            Turn::Theirs(_) | Turn::Elsewhere
                if lesson == Some(Lesson::Uncacheable)
                    || needs_own_word(&conf.cache, &entry.meta)
                    || self.wants_own_word() =>
            {
                Step::End(self.aside(exchange, stale).await)
            }
            theirs => match self.wait(exchange, theirs).await {
                Waited::End(ending) => Step::End(ending),
                Waited::LookAgain => Step::LookAgain,
                Waited::ServeStale => Step::End(self.hit(exchange, &entry, CacheStatus::Stale)),
                Waited::InVain => Step::End(self.aside(exchange, stale).await),
            },
        }
    }

    /// Asks for what is not there, or waits for another who does.
    async fn absent(&mut self, exchange: &mut Exchange) -> Step {
        let lesson = self.lesson();
        if let Some(Lesson::Error(status)) = lesson {
            return Step::End(kept_error(exchange, status));
        }
        if let Some(ending) = self.declined(exchange, CacheStatus::Miss).await {
            return Step::End(ending);
        }
        let min_uses = *exchange.location.cache.min_uses;
        if min_uses > 1 && u64::from(self.zone.store.count_use(&self.digest, clock::now())) < min_uses {
            exchange.upstream.cache.detail = Some("min-uses");
            return Step::End(self.uncached(exchange, CacheStatus::Scarce).await);
        }
        if let Some(step) = self.in_parts(exchange).await {
            return step;
        }
        if range_offset::is_beyond(exchange) {
            return Step::End(self.uncached(exchange, CacheStatus::Miss).await);
        }
        let conf = Arc::clone(&exchange.location);
        match self.zone.turn(&self.key, &self.digest, *conf.cache.lock_age) {
            // Another may have filled it between our look and our turn.
            Turn::Mine(_)
                if !std::mem::replace(&mut self.looked_twice, true) && self.zone.knows(&self.digest) =>
            {
                Step::LookAgain
            }
            Turn::Mine(ticket) => Step::End(self.ask(exchange, ticket, None, CacheStatus::Miss).await),
            theirs => {
                // Nobody has to wait for an answer that is arriving already.
                let arrives = matches!(&theirs, Turn::Theirs(fill) if !fill.is_asking());
                let is_useless = lesson == Some(Lesson::Uncacheable);
                if !arrives && (is_useless || !*conf.cache.lock) {
                    exchange.upstream.cache.detail = is_useless.then_some("uncacheable");
                    return Step::End(self.uncached(exchange, CacheStatus::Miss).await);
                }
                match self.wait(exchange, theirs).await {
                    Waited::End(ending) => Step::End(ending),
                    Waited::LookAgain => Step::LookAgain,
                    Waited::ServeStale | Waited::InVain => {
                        Step::End(self.uncached(exchange, CacheStatus::Miss).await)
                    }
                }
            }
        }
    }

    /// What the request makes of a verdict on an entry.
    fn wished(&self, verdict: Reuse, entry: &Entry, now: SystemTime) -> Reuse {
        let Some(wishes) = &self.wishes else { return verdict };
        wishes.judge(verdict, &entry.meta, Held::of(&entry.meta).age(&entry.head.fields, now), now)
    }

    /// Ends a request that wants nobody to be asked, or nothing to be stored.
    async fn declined(&self, exchange: &mut Exchange, status: CacheStatus) -> Option<Ending> {
        let wishes = self.wishes.as_ref()?;
        if wishes.only_if_cached {
            exchange.upstream.cache_status = Some(status);
            return Some(Ending::Fail(Fault::status_only(504)));
        }
        if wishes.no_store {
            exchange.upstream.cache.detail = Some("no-store");
            return Some(self.uncached(exchange, status).await);
        }
        None
    }

    /// Whether the request wants the origin's own word.
    fn wants_own_word(&self) -> bool {
        self.forward == Forward::Request || self.wishes.is_some_and(|wishes| wishes.no_cache)
    }

    /// Asks the upstream although there may be an entry, and stores the answer over it.
    async fn bypass(&mut self, exchange: &mut Exchange) -> Ending {
        self.forward = Forward::Bypass;
        if let Some(ending) = self.declined(exchange, CacheStatus::Bypass).await {
            return ending;
        }
        let ticket = self.zone.turn_anyway(&self.key, &self.digest, *exchange.location.cache.lock_age);
        self.ask(exchange, ticket, None, CacheStatus::Bypass).await
    }

    /// Asks the upstream beside another request and stores nothing; where it fails, the stale entry is at hand all the same.
    async fn aside(&mut self, exchange: &mut Exchange, stale: Stale) -> Ending {
        self.ask(exchange, Ticket::apart(), Some(stale), CacheStatus::Expired).await
    }

    /// Asks the upstream and stores nothing.
    async fn uncached(&self, exchange: &mut Exchange, status: CacheStatus) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.cache.forward = Some(self.forward);
        pass_on(exchange, self.pass, self.group).await
    }

    /// What was learned of the key a moment ago.
    fn lesson(&self) -> Option<Lesson> {
        self.zone.remembered.find(&self.digest, clock::now())
    }

    /// Serves an entry.
    fn hit(&self, exchange: &mut Exchange, entry: &Arc<Entry>, status: CacheStatus) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.head = Some(Arc::clone(&entry.head));
        exchange.upstream.cache.held = Some(Held::of(&entry.meta));
        limit_rate::obey(exchange, &entry.head);
        self.zone.touch(&self.digest, entry);
        if let Some(ending) = intercept(exchange, &entry.head) {
            return ending;
        }
        Ending::Answer(Box::new(stored::answer(exchange, entry)))
    }

    /// Asks the upstream, on a task of its own that goes on if the client leaves.
    async fn ask(
        &mut self,
        exchange: &mut Exchange,
        ticket: Ticket,
        stale: Option<Stale>,
        status: CacheStatus,
    ) -> Ending {
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.cache.forward = Some(self.forward);
        let mut order = match self.order(exchange, stale, AskedBy::Client).await {
            Ok(order) => order,
            Err(fault) => return Ending::Fail(fault),
        };
        if !ticket.may_store() {
            order.storing = Storing::Refused;
        }
        let ticket = if order.storing.is_refused() {
            // Nobody else need wait for what is never stored.
            drop(ticket);
            Ticket::apart()
        } else {
            ticket
        };
        let (hints, arriving) = hints::channel(exchange);
        order.outgoing.hints = hints;
        let answer = pin!(storing::start(&exchange.event_loop, order, ticket));
        let watches = storing::fill_abandoned(&exchange.location) != FillAbandoned::Goes;
        let answer = tokio::select! {
            biased;
            answer = arriving.meanwhile(&exchange.client, answer) => answer,
            () = exchange.client.closed(), if watches => Err(client_left()),
        };
        let answer = match answer {
            Ok(answer) => answer.unwrap_or_default(),
            Err(fault) => return Ending::Fail(fault),
        };
        exchange.upstream.tries.extend(answer.facts.tries);
        exchange.upstream.head = answer.facts.head;
        exchange.upstream.peer = answer.facts.peer;
        exchange.upstream.scheme = answer.facts.scheme;
        exchange.upstream.target = answer.facts.target;
        exchange.upstream.cache.stored = answer.facts.cache.stored;
        exchange.upstream.cache.detail = answer.facts.cache.detail;
        match answer.outcome {
            Ok(Outcome::Stored(reader, incomplete)) => {
                affinity::bind(exchange, self.group, None);
                let came = exchange.upstream.head.take();
                follow(exchange, reader, &incomplete, came)
            }
            Ok(Outcome::Refreshed(entry)) => self.hit(exchange, &entry, CacheStatus::Revalidated),
            Ok(Outcome::Through(incoming)) => deliver(exchange, self.group, *incoming),
            Ok(Outcome::Stale(entry, fault)) => {
                if let Some(fault) = fault {
                    fault::log(exchange, &fault);
                }
                self.hit(exchange, &entry, CacheStatus::Stale)
            }
            Err(fault) => Ending::Fail(fault),
        }
    }

    /// Writes down what is to be asked, and under which name the answer is stored.
    async fn order(
        &self,
        exchange: &Exchange,
        stale: Option<Stale>,
        asked_by: AskedBy,
    ) -> Result<Order, Fault> {
        let location = Arc::clone(&exchange.location);
        let purpose = match &stale {
            Some(stale) if storing::validates(&location) => {
                Purpose::Revalidate(&stale.entry.meta, &stale.entry.head)
            }
            _ => match &self.question {
                Some(Question { range, if_range }) => Purpose::Part { range, if_range: if_range.as_deref() },
                None => Purpose::Fill,
            },
        };
        let mut outgoing = request::build(exchange, self.pass, purpose).await?;
        outgoing.affinity = affinity::of(exchange, self.group);
        Ok(Order {
            location,
            outgoing,
            group: Arc::clone(self.group),
            zone: Arc::clone(&self.zone),
            key: self.key.clone(),
            digest: self.digest,
            stale,
            storing: no_cache::storing(exchange),
            asks: self.asks(exchange),
            asked_by,
            read_rate: rate::from_upstream(exchange),
            method: exchange.method,
            request_fields: exchange.head.fields.clone(),
            asker: Asker::of(exchange),
            epoch: self.zone.store.epoch(),
            asked_at: clock::now(),
            tag_origin: purge::tag_origin(exchange),
        })
    }
}

/// Stores an answer that has come already for whoever asks for the key from now on, where that may be.
pub(super) async fn store(
    exchange: &mut Exchange,
    pass: &ProxyPass,
    group: &Arc<Group>,
    place: (Arc<Zone>, Key),
    asked_at: SystemTime,
    incoming: Incoming,
) -> Ending {
    let (zone, key) = place;
    let permit = zone.store.permit_beside(&key.digest);
    let dealing = Dealing::new(pass, group, zone, key);
    let order = match dealing.order(exchange, None, AskedBy::Client).await {
        Ok(order) => Order { asked_at, ..order },
        Err(fault) => return Ending::Fail(fault),
    };
    let ticket = Ticket::apart().with_permit(permit);
    match storing::store(&exchange.event_loop, order, ticket, Box::new(incoming), &mut exchange.upstream) {
        Ok((reader, incomplete)) => {
            affinity::bind(exchange, group, None);
            let came = exchange.upstream.head.take();
            follow(exchange, reader, &incomplete, came)
        }
        Err(incoming) => deliver(exchange, group, *incoming),
    }
}

/// Fails again as a moment ago, where `proxy_cache_valid` says so.
fn kept_error(exchange: &mut Exchange, status: u16) -> Ending {
    exchange.upstream.cache_status = Some(CacheStatus::Hit);
    Ending::Fail(Fault::status_only(status))
}

/// Whether what another request brings of it will not do: each use needs the origin's word, or it is stale when it comes.
pub(super) fn needs_own_word(conf: &CacheConf, meta: &Meta) -> bool {
    conf.follows_rfc() && (meta.restraint == Restraint::AlwaysValidated || meta.valid_until <= meta.date)
}
