//! DNS messages: a question to bytes, bytes to an answer. Pure.
//!
//! What an answer means is nginx's: every address in it counts, whoever it belongs to by way of aliases, and an
//! answer without any is "Host not found" unless it names an alias to ask for next.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hickory_proto::{
    op::{Message, MessageType, Query},
    rr::{Name, RData, RecordType},
};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    name: Name,
    kind: Kind,
}

/// What is wanted of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Addresses of IPv4.
    A,
    /// Addresses of IPv6.
    Aaaa,
    /// Servers of a service.
    Srv,
}

/// What a name server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for, in the server's order.
    pub found: Vec<T>,
    /// How long it holds.
    pub ttl: Duration,
}

/// One server of a service (SRV).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are asked first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Its name.
    pub target: Arc<str>,
}

/// One record that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An address.
    Address(IpAddr),
    /// A server.
    Service(Service),
}

/// What a packet is to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// No answer to it: noise, or an attempt to deceive.
    Foreign,
    /// An answer too long for a packet.
    Truncated,
    /// What was asked for.
    Answer(Answer<Item>),
    /// Another name stands for this one; its addresses are not told.
    Alias(Question),
    /// A refusal, with DNS's code.
    Failed(u16),
}

/// DNS's code for a name that there is not.
pub const NOT_FOUND: u16 = 3;

impl Kind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Srv => RecordType::SRV,
        }
    }
}

impl Question {
    /// Makes a question, unless the name cannot be one of DNS.
    pub fn new(name: &str, kind: Kind) -> Option<Self> {
        let labels = name.strip_suffix('.').unwrap_or(name).split('.').map(str::as_bytes);
        let mut name = Name::from_labels(labels).ok()?;
        name.set_fqdn(true);
        Some(Self { name, kind })
    }

    /// Makes the packet that asks it.
    pub fn packet(&self, id: u16) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = id;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.name.clone(), self.kind.record_type()));
        message.to_vec().expect("a name that could be made fits into a message")
    }

    /// Reads a packet that came after it was asked under this id.
    pub fn read(&self, packet: &[u8], id: u16) -> Reading {
        let Ok(message) = Message::from_vec(packet) else { return Reading::Foreign };
        let is_ours =
            |query: &Query| query.name() == &self.name && query.query_type() == self.kind.record_type();
        let metadata = &message.metadata;
        if metadata.id != id
            || metadata.message_type != MessageType::Response
            || !matches!(&message.queries[..], [query] if is_ours(query))
        {
            return Reading::Foreign;
        }
        match u16::from(metadata.response_code) {
            _ if metadata.truncation => Reading::Truncated,
            0 => self.records(&message),
            code => Reading::Failed(code),
        }
    }

    fn records(&self, message: &Message) -> Reading {
        let mut found = Vec::new();
        let mut alias = None;
        let mut ttl = u32::MAX;
        for record in &message.answers {
            ttl = ttl.min(record.ttl);
            match (&record.data, self.kind) {
                (RData::A(address), Kind::A) => found.push(Item::Address(IpAddr::V4(address.0))),
                (RData::AAAA(address), Kind::Aaaa) => found.push(Item::Address(IpAddr::V6(address.0))),
                (RData::SRV(service), Kind::Srv) => found.push(Item::Service(Service {
                    priority: service.priority,
                    weight: service.weight,
                    port: service.port,
                    target: service.target.to_ascii().trim_end_matches('.').into(),
                })),
                (RData::CNAME(name), _) => alias = Some(name.0.clone()),
                _ => {}
            }
        }
        match alias {
            Some(name) if found.is_empty() => Reading::Alias(Self { name, kind: self.kind }),
            _ if found.is_empty() => Reading::Failed(NOT_FOUND),
            _ => Reading::Answer(Answer { found, ttl: Duration::from_secs(ttl.into()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::ResponseCode,
        rr::{
            Record,
            rdata::{A, CNAME, SRV},
        },
    };

    use super::*;

    fn name(text: &str) -> Name {
        Question::new(text, Kind::A).expect("a name").name
    }

    fn record(ttl: u32, data: RData) -> Record {
        Record::from_rdata(name("x.test"), ttl, data)
    }

    /// Answers a question, after `edit` had its way.
    fn reply(question: &Question, edit: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::from_vec(&question.packet(7)).expect("our own packet");
        message.metadata.message_type = MessageType::Response;
        edit(&mut message);
        message.to_vec().expect("it fits")
    }

    #[test]
    fn names_are_checked_before_they_are_asked_for() {
        let long = "a".repeat(64);
        let cases =
            [("a.test", true), ("a.test.", true), ("_x", true), ("a..b", false), ("", false), (&long, false)];
        for (name, wanted) in cases {
            assert_eq!(Question::new(name, Kind::A).is_some(), wanted, "{name}");
        }
    }

    #[test]
    fn answers_are_read_as_nginx_reads_them() {
        let a = |last| RData::A(A([127, 0, 0, last].into()));
        let alias = |target: &str| RData::CNAME(CNAME(name(target)));
        let answer = |last: &[u8], seconds| {
            let found = last.iter().map(|&last| Item::Address(IpAddr::from([127, 0, 0, last]))).collect();
            Reading::Answer(Answer { found, ttl: Duration::from_secs(seconds) })
        };
        type Edit = fn(&mut Message);
        let of_answers = |answers: Vec<Record>| {
            reply(&Question::new("x.test", Kind::A).expect("a name"), |message| {
                message.answers = answers;
            })
        };
        let edited = |edit: Edit| reply(&Question::new("x.test", Kind::A).expect("a name"), edit);
        let next = Question { name: name("y.test"), kind: Kind::A };
        let cases = [
            (
                "several, the shortest time",
                of_answers(vec![record(9, a(1)), record(5, a(2))]),
                answer(&[1, 2], 5),
            ),
            (
                "through an alias",
                of_answers(vec![record(3, alias("y.test")), record(5, a(2))]),
                answer(&[2], 3),
            ),
            ("an alias alone", of_answers(vec![record(3, alias("y.test"))]), Reading::Alias(next)),
            ("nothing", of_answers(vec![]), Reading::Failed(3)),
            (
                "a refusal",
                edited(|message| message.metadata.response_code = ResponseCode::Refused),
                Reading::Failed(5),
            ),
            ("cut off", edited(|message| message.metadata.truncation = true), Reading::Truncated),
            ("another id", edited(|message| message.metadata.id = 8), Reading::Foreign),
            (
                "a question",
                edited(|message| message.metadata.message_type = MessageType::Query),
                Reading::Foreign,
            ),
            ("no question", edited(|message| message.queries.clear()), Reading::Foreign),
            (
                "another name",
                reply(&Question::new("z.test", Kind::A).expect("a name"), |_| {}),
                Reading::Foreign,
            ),
            (
                "another kind",
                reply(&Question::new("x.test", Kind::Aaaa).expect("a name"), |_| {}),
                Reading::Foreign,
            ),
            (
                "other letters",
                reply(&Question::new("X.Test", Kind::A).expect("a name"), |_| {}),
                Reading::Failed(3),
            ),
            ("noise", b"noise".to_vec(), Reading::Foreign),
        ];
        let question = Question::new("x.test", Kind::A).expect("a name");
        for (name, packet, wanted) in cases {
            assert_eq!(question.read(&packet, 7), wanted, "{name}");
        }
    }

    #[test]
    fn services_have_names_without_a_dot_at_the_end() {
        let question = Question::new("_http._tcp.x.test", Kind::Srv).expect("a name");
        let packet = reply(&question, |message| {
            message.add_answer(record(60, RData::SRV(SRV::new(1, 2, 8080, name("a.test")))));
        });
        let service = Service { priority: 1, weight: 2, port: 8080, target: "a.test".into() };
        let wanted = Answer { found: vec![Item::Service(service)], ttl: Duration::from_secs(60) };
        assert_eq!(question.read(&packet, 7), Reading::Answer(wanted));
    }
}
