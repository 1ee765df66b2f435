//! HTTP/2 connections of one event loop, each carrying many requests side by side.
//!
//! A request claims a place on a connection ([`Claim`]); where none has room, it opens another. Connections are looked for by
//! peer and by how they were made, and belong to a group, whose `keepalive` counts those without requests: `keepalive_timeout`
//! ends them, `keepalive_requests` and `keepalive_time` have them take no more. Without `keepalive` a connection ends with the last request
//! that it carries.

mod frames;
mod link;

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    time::Duration,
};

use ::http::Request;
use config::{KeptFor, UpstreamConf};
use tls::HTTP2_NAME;

pub use self::link::Started;
use self::link::{Link, Opening, Room, Route};
use super::{
    connect::{Connection, Dial, OpenError},
    group::Pick,
    pool::now,
};
use crate::net::Timer;

/// Connections that many requests share.
#[derive(Default)]
pub struct SharedPool {
    groups: Rc<Groups>,
}

/// The connections that take requests, by group.
#[derive(Default)]
struct Groups(RefCell<HashMap<u64, Vec<Rc<Link>>>>);

/// A request's place on a connection, until it is dropped.
pub struct Claim {
    link: Rc<Link>,
    groups: Weak<Groups>,
    group: u64,
    /// Connections without requests that the group may keep.
    keeps: usize,
    is_first: bool,
}

/// Where a request goes.
enum Place {
    /// On this connection.
    On(Rc<Link>),
    /// Perhaps on this one, which is being opened.
    After(Rc<Link>),
    /// On one of its own, for now.
    New,
}

impl SharedPool {
    /// Finds a connection with room for another request, or opens one. Cancel safe.
    ///
    /// # Errors
    /// It could not be opened, or not in time, or HTTP/2 is not what the peer agrees on with TLS.
    pub async fn claim(&self, pick: &Pick, dial: &Dial) -> Result<Claim, OpenError> {
        let mut timer = Timer::new(dial.timeout);
        let route = route(pick, dial);
        loop {
            match self.groups.place(pick, &route) {
                Place::On(link) => return Ok(self.take(link, pick)),
                Place::New => return self.open(route, pick, dial).await,
                Place::After(link) => {
                    let changed = async {
                        link.changed().await;
                        Ok(())
                    };
                    timer.limit(changed).await?;
                }
            }
        }
    }

    /// Opens a connection, and claims the first place on it.
    async fn open(&self, route: Route, pick: &Pick, dial: &Dial) -> Result<Claim, OpenError> {
        let conf = &pick.group().conf;
        let link = Rc::new(Link::new(route, conf.keepalive_timeout));
        let opening = Opening(Rc::clone(&link));
        self.groups.0.borrow_mut().entry(pick.group().id()).or_default().push(Rc::clone(&link));
        let claim = self.take(link, pick);
        let connection = Connection::open(pick, dial).await?;
        if connection.stream.tls().is_some_and(|tls| !tls.has_agreed_on(HTTP2_NAME)) {
            return Err(OpenError::NoHttp2);
        }
        let mut timer = Timer::new(dial.timeout);
        let driver = timer.limit(opening.speak(connection.stream, &pick.peer().name)).await?;
        let (groups, group) = (Rc::downgrade(&self.groups), pick.group().id());
        tokio::task::spawn_local(async move {
            let ended = driver.run().await;
            if let Some(groups) = groups.upgrade() {
                groups.retire(group, &ended);
            }
        });
        Ok(claim)
    }

    fn take(&self, link: Rc<Link>, pick: &Pick) -> Claim {
        link.streams.set(link.streams.get() + 1);
        link.requests.set(link.requests.get() + 1);
        Claim {
            groups: Rc::downgrade(&self.groups),
            group: pick.group().id(),
            keeps: pick.group().conf.keepalive.map_or(0, |keepalive| keepalive.most),
            is_first: link.requests.get() == 1,
            link,
        }
    }
}

fn route(pick: &Pick, dial: &Dial) -> Route {
    let location = pick.group().conf.keepalive.and_then(|keepalive| match keepalive.kept_for {
        KeptFor::Group => None,
        KeptFor::Location => Some(dial.location),
    });
    Route { peer: pick.peer().id, local: dial.local, tls: dial.tls.clone(), location }
}

impl Groups {
    fn place(&self, pick: &Pick, route: &Route) -> Place {
        let mut groups = self.0.borrow_mut();
        let Some(links) = groups.get_mut(&pick.group().id()) else { return Place::New };
        let now = now();
        links.retain(|link| keeps_on(link, &pick.group().conf, now));
        let mut opening = None;
        // The one used last, as for other connections: those that are not needed come of age.
        for link in links.iter().rev().filter(|link| link.route == *route) {
            match link.room() {
                Room::Free => return Place::On(Rc::clone(link)),
                Room::Soon => opening = Some(Rc::clone(link)),
                Room::Full | Room::Gone => {}
            }
        }
        opening.map_or(Place::New, Place::After)
    }

    /// Forgets a connection, which then ends with its last request.
    fn retire(&self, group: u64, link: &Rc<Link>) {
        if let Some(links) = self.0.borrow_mut().get_mut(&group) {
            links.retain(|other| !Rc::ptr_eq(other, link));
        }
        link.retire();
    }

    /// Keeps a connection without requests, in place of the oldest where there are too many.
    fn rest(&self, group: u64, link: &Rc<Link>, keeps: usize) {
        if keeps == 0 || link.room() == Room::Gone {
            return self.retire(group, link);
        }
        link.rest();
        let oldest = {
            let groups = self.0.borrow();
            let idle = || groups.get(&group).into_iter().flatten().filter(|link| link.streams.get() == 0);
            if idle().count() <= keeps {
                return;
            }
            idle().min_by_key(|link| link.idle_since.get()).cloned()
        };
        if let Some(oldest) = oldest {
            self.retire(group, &oldest);
        }
    }
}

/// Whether a connection may take another request; where not, it takes none any more.
fn keeps_on(link: &Link, conf: &UpstreamConf, now: Duration) -> bool {
    let is_worn = link.requests.get() >= conf.keepalive_requests
        || now.saturating_sub(link.began) > conf.keepalive_time;
    if is_worn {
        link.retire();
    }
    link.room() != Room::Gone
}

impl Claim {
    /// Whether the connection was there before.
    pub fn is_reused(&self) -> bool {
        !self.is_first
    }

    /// Sends the head of the request.
    ///
    /// # Errors
    /// The connection takes no more, or the head is none.
    pub fn start(&self, request: Request<()>, ends: Ends) -> Result<Started, h2::Error> {
        let gone = || h2::Error::from(h2::Reason::REFUSED_STREAM);
        let mut sender = self.link.sender().ok_or_else(gone)?;
        sender.send_request(request, ends == Ends::WithHead)
    }

    /// Has the connection take no more requests: the peer has refused one.
    pub fn refused(&self) {
        if let Some(groups) = self.groups.upgrade() {
            groups.retire(self.group, &self.link);
        }
    }
}

/// Where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// With its head.
    WithHead,
    /// Behind a body.
    Later,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let streams = self.link.streams.get() - 1;
        self.link.streams.set(streams);
        if streams == 0
            && let Some(groups) = self.groups.upgrade()
        {
            groups.rest(self.group, &self.link, self.keeps);
        }
    }
}
