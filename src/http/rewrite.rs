//! The rewrite phase: the steps of a server or location, carried out in order.
//!
//! They were made when the configuration was read. What ends the request is the caller's to do.

use std::{ops::ControlFlow, sync::Arc};

use config::{LocationConf, RewriteStep, SetTarget, Template};

use super::{Exchange, exchange::UriState, fault, phases::Ending};

/// Carries out the steps of a location, or those of the server where it is the server's own.
pub fn run(exchange: &mut Exchange, conf: &Arc<LocationConf>) -> ControlFlow<Ending> {
    for step in &conf.steps {
        match step {
            RewriteStep::Return(rule) => return ControlFlow::Break(fault::returned(exchange, rule)),
            RewriteStep::Break => break,
            RewriteStep::Set(target, value) => set(exchange, target, value),
        }
    }
    ControlFlow::Continue(())
}

fn set(exchange: &mut Exchange, target: &SetTarget, value: &Template) {
    let value = value.expand(exchange);
    match target {
        SetTarget::Slot(slot) => exchange.slots.set(slot, value),
        SetTarget::Args => {
            exchange.args = value;
            exchange.uri_state = UriState::Changed;
        }
    }
}
