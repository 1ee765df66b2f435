//! Ranges after RFC 9111 where nothing whole is stored: the range is passed on, what comes of it is kept as a part, parts are joined, and
//! only what is missing is asked for.

use std::sync::Arc;

use cache::policy::{CacheStatus, Forward, Reuse, Rules};
use http1::{Fields, Method};

use super::{Dealing, Step, waiting::Waited};
use crate::{
    clock,
    http::{
        Body, Exchange,
        cache_facts::Held,
        exchange::PartOf,
        filter,
        phases::Ending,
        proxy::{
            cache::fill::Ticket,
            cache::parts::StoredParts,
            cache::stored,
            cache::storing::Asks,
            cache::zone::{Entry, Turn},
            client_left, limit_rate,
        },
        response::Source,
        slice::{self, Slices, Slicing},
    },
};

/// A question for a part, as the upstream gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The field Range.
    pub(super) range: Vec<u8>,
    /// The field If-Range.
    pub(super) if_range: Option<Vec<u8>>,
}

impl Question {
    /// The client's own, where it is for one range.
    fn of(request: &Fields) -> Option<Self> {
        let range = request.get("Range").filter(|range| !range.contains(&b','))?;
        let has_unit = range.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
        let if_range = request.get("If-Range").map(<[u8]>::to_vec);
        has_unit.then(|| Self { range: range.to_vec(), if_range })
    }
}

/// Returns the question of a request that is for a missing piece of an answer that is being joined.
pub(super) fn missing(exchange: &Exchange) -> Option<Question> {
    let is_again = exchange.part.as_ref().is_some_and(|part| part.of == PartOf::Answer);
    let Slicing::Asked { start, size } = exchange.slicing.get() else { return None };
    if !is_again || *exchange.location.slice.size > 0 {
        return None;
    }
    let last = start.saturating_add(size - 1);
    Some(Question { range: format!("bytes={start}-{last}").into_bytes(), if_range: None })
}

impl Dealing<'_> {
    /// Answers a request that may be answered in parts; none where it is to be answered as any other.
    pub(super) async fn in_parts(&mut self, exchange: &mut Exchange) -> Option<Step> {
        let varies = self.forward == Forward::VaryMiss;
        if varies || !may_be_in_parts(exchange) || self.zone.is_filling(&self.key.digest) {
            return None;
        }
        if let Some(list) = self.zone.find(&self.key, &self.key.parts_digest()).await {
            let stored = StoredParts::of(Arc::clone(&self.zone), self.key.clone(), Arc::clone(&list))?;
            if let Some(ending) = self.join(exchange, &list, stored).await {
                return Some(Step::End(ending));
            }
        }
        let question = Question::of(&exchange.head.fields)?;
        Some(self.ask_for_part(exchange, question).await)
    }

    /// Asks for a piece until there is an answer.
    pub(super) async fn ask_for_missing(&mut self, exchange: &mut Exchange, question: Question) -> Ending {
        loop {
            if let Step::End(ending) = self.ask_for_part(exchange, question.clone()).await {
                return ending;
            }
        }
    }

    /// Says what the upstream is asked for.
    pub(super) fn asks(&self, exchange: &Exchange) -> Asks {
        match (&self.question, exchange.slicing.get()) {
            (Some(_), _) => Asks::Part,
            (None, Slicing::Asked { .. }) => Asks::Slice,
            (None, Slicing::Unasked | Slicing::Answered) => Asks::Whole,
        }
    }

    async fn ask_for_part(&mut self, exchange: &mut Exchange, question: Question) -> Step {
        let if_range = question.if_range.as_deref().unwrap_or_default();
        self.digest = self.key.part_question(&[&question.range, if_range]);
        self.question = Some(question);
        let age = *exchange.location.cache.lock_age;
        let ticket = match self.zone.turn(&self.key, &self.digest, age) {
            Turn::Mine(ticket) => ticket,
            theirs => match self.wait(exchange, theirs).await {
                Waited::End(ending) => return Step::End(ending),
                Waited::LookAgain => {
                    self.digest = self.key.digest;
                    self.question = None;
                    return Step::LookAgain;
                }
                Waited::ServeStale | Waited::InVain => Ticket::apart(),
            },
        };
        Step::End(self.ask(exchange, ticket, None, CacheStatus::Miss).await)
    }

    /// Puts an answer together from what is stored and what is missing; none where what is stored is of another whole.
    async fn join(
        &mut self,
        exchange: &mut Exchange,
        list: &Arc<Entry>,
        stored: StoredParts,
    ) -> Option<Ending> {
        let parts = stored.parts();
        let is_fresh = Rules::of(&exchange.location).reuse(&list.meta, clock::now()) == Reuse::Fresh;
        let mut response = stored::head(exchange, list);
        slice::make_whole(&mut response, parts.complete_length);
        let first = filter::wanted_range(exchange, &response);
        let next_start = first.as_ref().map_or(0, |first| parts.next_start(first.start));
        let at_first = first.as_ref().and_then(|first| parts.at(first.start)).cloned();
        let (status, forward) = match &first {
            Some(_) if !is_fresh => (CacheStatus::Expired, Some(Forward::Stale)),
            Some(first) if !parts.cover(first) => (CacheStatus::Miss, Some(Forward::Partial)),
            Some(_) | None => (CacheStatus::Hit, None),
        };
        let mut slices = Slices::joined(stored);
        if let Some(first) = first.filter(|_| !is_fresh || at_first.is_none()) {
            // What begins the answer is asked for before there is a head: so a whole that has changed is noticed in time.
            let end = at_first.map_or(next_start, |part| part.end).min(first.end);
            let begun = tokio::select! {
                begun = slices.begin(exchange, first.start..end) => begun,
                () = exchange.client.closed() => return Some(Ending::Fail(client_left())),
            };
            begun.ok()?;
        }
        exchange.upstream.cache.forward = forward;
        exchange.upstream.cache_status = Some(status);
        exchange.upstream.head = Some(Arc::clone(&list.head));
        exchange.upstream.cache.held = Some(Held::of(&list.meta));
        limit_rate::obey(exchange, &list.head);
        self.zone.touch(&self.key.parts_digest(), list);
        response.body = Body::Stream { source: Source::Slices(Box::new(slices)), window: None };
        Some(Ending::Answer(Box::new(response)))
    }
}

/// Whether the rules are RFC 9111's, and nothing else decides on ranges or depends on the whole.
fn may_be_in_parts(exchange: &Exchange) -> bool {
    let (location, request) = (&exchange.location, &exchange.head.fields);
    let has_condition = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]
        .iter()
        .any(|name| request.contains(name));
    let sets_range = location.proxy.set_header.iter().any(|set| set.name.eq_ignore_ascii_case(b"Range"));
    location.cache.follows_rfc()
        && exchange.method == Method::Get
        && exchange.is_main()
        && *location.slice.size == 0
        && *location.proxy.pass_request_headers
        && !has_condition
        && !sets_range
}
