//! What a request's rewriting is made of: `set`, `break`, and how it is told of.
//!
//! Where these may stand, and in which order they are carried out, is read where the tree is built.

use super::returns::return_;
use crate::{
    definitions::is_fixed,
    parse::Directive,
    scope::Scope,
    settings::{HSL, settings},
    source::Problem,
    template::Template,
    tree::Return,
    values::FLAG,
    variable::{Slot, Variable},
};

settings! {
    /// What the log is told while a request is rewritten.
    pub struct RewriteConf {
        /// Warns of variables that `set` has not given a value yet.
        uninitialized_variable_warn: bool = true, "uninitialized_variable_warn" in HSL, once(FLAG), "on";
    }
}

/// One step of the rewrite phase.
#[derive(Debug, Clone)]
pub enum RewriteStep {
    /// `return`.
    Return(Return),
    /// `break`: no more steps.
    Break,
    /// `set`.
    Set(SetTarget, Template),
}

/// What `set` gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetTarget {
    /// A variable of the configuration's own.
    Slot(Slot),
    /// `$args`: the arguments in force.
    Args,
}

/// Says whether a directive is a step of the rewrite phase.
pub fn is_step(directive: &Directive) -> bool {
    ["break", "return", "set"].iter().any(|name| directive.is(name))
}

/// Reads a step.
pub fn step(directive: &Directive, scope: &Scope<'_>) -> Result<RewriteStep, Problem> {
    match &*directive.name.text {
        b"return" => return_(directive, scope).map(RewriteStep::Return),
        b"set" => set(directive, scope),
        _ => Ok(RewriteStep::Break),
    }
}

fn set(directive: &Directive, scope: &Scope<'_>) -> Result<RewriteStep, Problem> {
    let written = directive.text(0);
    let Some(name) = written.strip_prefix('$').filter(|name| !name.is_empty()) else {
        let help = format!("a variable begins with $: set ${written} ...");
        return Err(directive.fail(0, format!("invalid variable name \"{written}\"")).with_help(help));
    };
    if is_fixed(name) {
        return Err(directive.fail(0, format!("the duplicate \"{name}\" variable")));
    }
    let target = match scope.known_variable(directive, 0, name)? {
        Variable::Slot(slot) => SetTarget::Slot(slot),
        Variable::Args => SetTarget::Args,
        _ => return Err(directive.fail(0, format!("\"set ${name}\" is not supported yet"))),
    };
    Ok(RewriteStep::Set(target, scope.template(directive, 1)?))
}
