//! `proxy_no_cache`: whether an answer may be stored, by the request or by the answer itself.
//!
//! What only the request decides is known before the upstream is asked: then nobody need wait for the answer. What the
//! answer decides (`$upstream_http_pragma`, a `map` of it) is asked when its head is there, as nginx does, though the request may be
//! over by then: what its variables need is taken along.

use config::{Part, Template, Unset, Variable};
use http1::ResponseHead;

use crate::http::proxy::any_true;
use crate::http::{
    Exchange,
    exchange::{self, PartOf, UpstreamFacts},
    subrequest,
};

/// Whether an answer may be stored.
pub enum Storing {
    /// Where its head allows it.
    Wanted,
    /// Never.
    Refused,
    /// Its head decides, by variables of this request.
    ByAnswer(Box<Exchange>),
}

/// Finds out what can be known before the upstream is asked.
pub fn storing(exchange: &Exchange) -> Storing {
    let conditions = &*exchange.location.cache.no_cache;
    if conditions.iter().any(may_need_answer) {
        let part = exchange::Part { levels_left: 0, stub: None, of: PartOf::Answer };
        return Storing::ByAnswer(Box::new(subrequest::twin(exchange, part)));
    }
    match any_true(exchange, conditions) {
        true => Storing::Refused,
        false => Storing::Wanted,
    }
}

impl Storing {
    /// Decides, now that there is an answer.
    pub fn settle(&mut self, facts: &UpstreamFacts, head: &ResponseHead) {
        let Self::ByAnswer(exchange) = self else { return };
        exchange.upstream = facts.clone();
        exchange.sent.status = head.status;
        exchange.sent.fields = head.fields.clone();
        let is_refused = any_true(exchange, &exchange.location.cache.no_cache);
        *self = if is_refused { Self::Refused } else { Self::Wanted };
    }

    /// Whether it is certain that nothing will be stored.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// Whether a text may be another one once there is an answer.
fn may_need_answer(text: &Template) -> bool {
    text.parts().iter().any(|part| match part {
        Part::Text(_) | Part::Capture(_) => false,
        Part::Variable(variable) => is_of_answer(variable),
    })
}

fn is_of_answer(variable: &Variable) -> bool {
    match variable {
        Variable::Upstream(_) | Variable::SentHttp(_) | Variable::SentTrailer(_) | Variable::Status => true,
        Variable::Slot(slot) => match &slot.unset {
            // What it is made of is not looked into: a table of the request's own is only settled later.
            Unset::Computed(_) => true,
            Unset::Otherwise(variable) => is_of_answer(variable),
            Unset::Empty | Unset::Absent => false,
        },
        _ => false,
    }
}
