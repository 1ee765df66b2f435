//! How a group chooses among its servers: the method, what it is fed with, and what goes with it.
//!
//! As nginx: the method that stands last counts, and what it cannot honour is refused in the `server` lines below it.

use crate::{
    parse::Directive, scope::Scope, settings::Reader, source::Problem, template::Template, values::accepted,
};

/// How a group chooses among its servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Balancing {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Whoever has the fewest requests for its weight.
    LeastConn,
    /// Whoever is quickest and has the fewest requests for its weight.
    LeastTime(LeastTime),
    /// By the client's address.
    IpHash,
    /// By a key; each server has a share of its range.
    Hash(Template),
    /// By a key on a ring of points, so that a server that goes takes along only its own keys.
    ConsistentHash(Template),
    /// By chance.
    Random,
    /// Two by chance, and the better of them.
    RandomTwo(Better),
}

/// Which of two servers is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The one with fewer requests for its weight.
    LeastConn,
    /// The quicker one.
    LeastTime(Measure),
}

/// `least_time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeastTime {
    /// What is measured.
    pub measure: Measure,
    /// Whether requests without an answer yet count too.
    pub inflight: bool,
}

/// What the time of a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Until the head of the answer.
    Header,
    /// Until its last byte.
    LastByte,
}

impl Balancing {
    /// Returns what must be measured for it.
    pub fn measure(&self) -> Option<Measure> {
        match self {
            Self::LeastTime(LeastTime { measure, .. }) | Self::RandomTwo(Better::LeastTime(measure)) => {
                Some(*measure)
            }
            Self::RoundRobin
            | Self::LeastConn
            | Self::IpHash
            | Self::Hash(_)
            | Self::ConsistentHash(_)
            | Self::Random
            | Self::RandomTwo(Better::LeastConn) => None,
        }
    }
}

/// `least_conn`.
pub const LEAST_CONN: Reader<Balancing> = Reader::between(0, 0, "", |_, _| Ok(Balancing::LeastConn));
/// `ip_hash`.
pub const IP_HASH: Reader<Balancing> = Reader::between(0, 0, "", |_, _| Ok(Balancing::IpHash));
/// `hash`.
pub const HASH: Reader<Balancing> = Reader::between(1, 2, "key [consistent]", hash);
/// `random`.
pub const RANDOM: Reader<Balancing> =
    Reader::between(0, 2, "[two [least_conn | least_time=header | least_time=last_byte]]", random);
/// `least_time`.
pub const LEAST_TIME: Reader<Balancing> = Reader::between(1, 2, "header | last_byte [inflight]", least_time);

fn hash(directive: &Directive, scope: &Scope<'_>) -> Result<Balancing, Problem> {
    let key = scope.template(directive, 0)?;
    match directive.args.get(1) {
        None => Ok(Balancing::Hash(key)),
        Some(_) => parameter(directive, 1, &[("consistent", Balancing::ConsistentHash(key))]),
    }
}

fn random(directive: &Directive, _: &Scope<'_>) -> Result<Balancing, Problem> {
    if directive.args.is_empty() {
        return Ok(Balancing::Random);
    }
    parameter(directive, 0, &[("two", ())])?;
    if directive.args.len() == 1 {
        return Ok(Balancing::RandomTwo(Better::LeastConn));
    }
    let better = parameter(
        directive,
        1,
        &[
            ("least_conn", Better::LeastConn),
            ("least_time=header", Better::LeastTime(Measure::Header)),
            ("least_time=last_byte", Better::LeastTime(Measure::LastByte)),
        ],
    )?;
    Ok(Balancing::RandomTwo(better))
}

fn least_time(directive: &Directive, _: &Scope<'_>) -> Result<Balancing, Problem> {
    let measure = parameter(directive, 0, &[("header", Measure::Header), ("last_byte", Measure::LastByte)])?;
    let inflight = match directive.args.get(1) {
        None => false,
        Some(_) => parameter(directive, 1, &[("inflight", true)])?,
    };
    Ok(Balancing::LeastTime(LeastTime { measure, inflight }))
}

/// Reads an argument that is one of these words.
fn parameter<T: Clone>(directive: &Directive, number: usize, words: &[(&str, T)]) -> Result<T, Problem> {
    let word = directive.text(number);
    words.iter().find(|(known, _)| *known == word).map(|(_, value)| value.clone()).ok_or_else(|| {
        let help = accepted(&word, words.iter().map(|(known, _)| *known));
        directive.fail(number, format!("invalid parameter \"{word}\"")).with_help(help)
    })
}

/// Names of the methods that fit servers into a range by weight: they know neither backups nor slow starts.
const BY_RANGE: [&str; 3] = ["hash", "ip_hash", "random"];
/// What such a method does not know.
const NOT_BY_RANGE: [&str; 2] = ["backup", "slow_start="];

/// Checks what depends on the order of the lines in a block, and returns the line of the method that counts.
pub fn method_line<'d>(block: &'d [Directive], scope: &Scope<'_>) -> Option<&'d Directive> {
    let mut method: Option<&Directive> = None;
    for directive in block {
        match &*directive.name() {
            "hash" | "ip_hash" | "least_conn" | "least_time" | "random" => {
                let earlier = method.replace(directive);
                let redefined = |_| Problem::warning(directive.name.span, "load balancing method redefined");
                earlier.map(redefined).into_iter().for_each(|warning| scope.report(warning));
            }
            "server" if method.is_some_and(|method| BY_RANGE.iter().any(|name| method.is(name))) => {
                let unknown = (1..directive.args.len()).find(|number| {
                    let text = directive.text(*number);
                    NOT_BY_RANGE.iter().any(|start| text.starts_with(start))
                });
                if let Some(number) = unknown {
                    let text = directive.text(number);
                    let message = format!("balancing method does not support parameter \"{text}\"");
                    scope.report(directive.fail(number, message));
                }
            }
            _ => {}
        }
    }
    method
}
