//! What a request's rewriting is made of: `rewrite`, `set`, `break`, and how it is told of.
//!
//! Where these may stand, and in which order they are carried out, is read where the tree is built.

use std::sync::Arc;

use super::{condition::Condition, returns::return_};
use crate::{
    definitions::is_fixed,
    parse::Directive,
    regex::{Case, Regex},
    scope::Scope,
    settings::{HSL, IF, settings},
    source::Problem,
    template::Template,
    tree::{LocationConf, Return},
    values::{FLAG, accepted},
    variable::{Slot, Variable},
};

settings! {
    /// What the log is told while a request is rewritten.
    pub struct RewriteConf {
        /// Logs each step of `rewrite` and each expression of `if`, as notices.
        log: bool = false, "rewrite_log" in HSL.and(IF), once(FLAG), "off";
        /// Warns of variables that `set` has not given a value yet.
        uninitialized_variable_warn: bool = true,
            "uninitialized_variable_warn" in HSL.and(IF), once(FLAG), "on";
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
    /// `rewrite`.
    Rewrite(Box<Rewrite>),
    /// `if`.
    If(Box<If>),
}

/// What `set` gives a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetTarget {
    /// A variable of the configuration's own.
    Slot(Slot),
    /// `$args`: the arguments in force.
    Args,
    /// `$limit_rate`: bytes a second.
    LimitRate,
}

/// `rewrite`.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What the path must match.
    pub regex: Regex,
    /// What replaces it.
    pub replacement: Replacement,
    /// Whether the request's arguments are added.
    pub adds_args: bool,
}

/// What replaces a path that matched.
#[derive(Debug, Clone)]
pub enum Replacement {
    /// Another path.
    Path {
        /// The path.
        path: Template,
        /// Arguments, where there is a `?`.
        args: Option<Template>,
        /// What comes then.
        then: AfterRewrite,
    },
    /// A redirect of the client.
    Redirect {
        /// Its status.
        status: u16,
        /// Where to.
        url: Template,
        /// Whether the URL has arguments of its own.
        has_args: bool,
    },
}

/// What comes after a `rewrite` that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRewrite {
    /// The next step.
    Continue,
    /// No more steps here; a location is looked for anew.
    Last,
    /// No more steps here; the request stays where it is.
    Break,
}

/// `if`.
#[derive(Debug, Clone)]
pub struct If {
    /// What is asked.
    pub condition: Condition,
    /// What holds if it is so; within a server nothing changes.
    pub location: Option<Arc<LocationConf>>,
    /// How many of the steps that follow are only taken then.
    pub steps: usize,
}

/// Says whether a directive is a step of the rewrite phase.
pub fn is_step(directive: &Directive) -> bool {
    ["break", "if", "return", "rewrite", "set"].iter().any(|name| directive.is(name))
}

/// Reads a step that is no block.
pub fn step(directive: &Directive, scope: &Scope<'_>) -> Result<RewriteStep, Problem> {
    match &*directive.name.text {
        b"return" => return_(directive, scope).map(RewriteStep::Return),
        b"set" => set(directive, scope),
        b"rewrite" => rewrite(directive, scope).map(|rule| RewriteStep::Rewrite(Box::new(rule))),
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
        Variable::LimitRate => SetTarget::LimitRate,
        _ => return Err(directive.fail(0, format!("\"set ${name}\" is not supported yet"))),
    };
    Ok(RewriteStep::Set(target, scope.template(directive, 1)?))
}

fn rewrite(directive: &Directive, scope: &Scope<'_>) -> Result<Rewrite, Problem> {
    let regex = scope.regex(directive, 0, directive.bytes(0), Case::Sensitive)?;
    let written = directive.bytes(1);
    if written.is_empty() {
        return Err(directive.fail(1, "empty replacement"));
    }
    let is_url = ["http://", "https://", "$scheme"].iter().any(|start| written.starts_with(start.as_bytes()));
    let flag = directive.args.get(2).map(|word| &*word.text);
    let (text, adds_args) = match written {
        // As nginx: a mark at the end keeps the request's arguments away.
        [text @ .., b'?'] => (text, false),
        text => (text, true),
    };
    let redirect = |status| -> Result<Replacement, Problem> {
        let url = scope.compile(directive, 1, text)?;
        Ok(Replacement::Redirect { status, url, has_args: text.contains(&b'?') })
    };
    let path = |then| -> Result<Replacement, Problem> {
        let mark = text.iter().position(|byte| *byte == b'?');
        let (path, args) = text.split_at(mark.unwrap_or(text.len()));
        let args = args.split_first().map(|(_, args)| scope.compile(directive, 1, args)).transpose()?;
        Ok(Replacement::Path { path: scope.compile(directive, 1, path)?, args, then })
    };
    let replacement = match flag {
        Some(b"permanent") => redirect(301),
        Some(b"redirect") => redirect(302),
        None | Some(b"last" | b"break") if is_url => redirect(302),
        Some(b"last") => path(AfterRewrite::Last),
        Some(b"break") => path(AfterRewrite::Break),
        None => path(AfterRewrite::Continue),
        Some(_) => {
            let word = directive.text(2);
            let help = accepted(&word, ["last", "break", "redirect", "permanent"].into_iter());
            return Err(directive.fail(2, format!("invalid parameter \"{word}\"")).with_help(help));
        }
    };
    Ok(Rewrite { regex, replacement: replacement?, adds_args })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MainText, Source, Texts};

    /// Reads a directive, and shows what was made of it.
    fn read(text: &str) -> String {
        let main = MainText::Embedded { name: "test".into(), text: format!("{text};") };
        let source = Source { prefix: "/".into(), main, globals: None, error_log: None };
        let mut texts = Texts::open(&source).unwrap();
        let directives = crate::parse::parse_all(&mut texts, &mut Vec::new());
        let mut scope = Scope::new(&source, &texts, &crate::tests::Hosts);
        scope.defined = crate::definitions::collect(&directives);
        let shown =
            |text: &Template| String::from_utf8_lossy(text.as_text().unwrap_or(b"a template")).into_owned();
        match step(&directives[0], &scope) {
            Err(problem) => problem.message,
            Ok(RewriteStep::Break) => "break".to_owned(),
            Ok(RewriteStep::Set(SetTarget::Slot(slot), value)) => {
                format!("{} is {}", slot.name, shown(&value))
            }
            Ok(RewriteStep::Set(target, value)) => format!("{target:?} is {}", shown(&value)),
            Ok(RewriteStep::Rewrite(rule)) => {
                let added = if rule.adds_args { ", arguments added" } else { "" };
                match &rule.replacement {
                    Replacement::Path { path, args: None, then } => {
                        format!("{} {then:?}{added}", shown(path))
                    }
                    Replacement::Path { path, args: Some(args), then } => {
                        format!("{} with {} {then:?}{added}", shown(path), shown(args))
                    }
                    Replacement::Redirect { status, url, has_args } => {
                        let own = if *has_args { " with its own" } else { "" };
                        format!("{status} to {}{own}{added}", shown(url))
                    }
                }
            }
            Ok(other @ (RewriteStep::Return(_) | RewriteStep::If(_))) => format!("{other:?}"),
        }
    }

    #[test]
    fn steps_are_read_as_nginx_reads_them() {
        for (text, wanted) in [
            ("break", "break"),
            ("set $a b", "a is b"),
            ("set $a $uri", "a is a template"),
            ("set $args b", "Args is b"),
            ("set $limit_rate 1k", "LimitRate is 1k"),
            ("set a b", "invalid variable name \"a\""),
            ("set $uri b", "the duplicate \"uri\" variable"),
            ("rewrite ^ /a", "/a Continue, arguments added"),
            ("rewrite ^ /a last", "/a Last, arguments added"),
            ("rewrite ^ /a break", "/a Break, arguments added"),
            ("rewrite ^ /a?", "/a Continue"),
            ("rewrite ^ /a?b=c last", "/a with b=c Last, arguments added"),
            ("rewrite ^ /a?b=c? last", "/a with b=c Last"),
            ("rewrite ^ /a?b?c last", "/a with b?c Last, arguments added"),
            ("rewrite ^ /a?? last", "/a with  Last"),
            ("rewrite ^ /a redirect", "302 to /a, arguments added"),
            ("rewrite ^ /a?b permanent", "301 to /a?b with its own, arguments added"),
            ("rewrite ^ http://a/", "302 to http://a/, arguments added"),
            ("rewrite ^ https://a/? last", "302 to https://a/"),
            ("rewrite ^ $scheme://a/ break", "302 to a template, arguments added"),
            ("rewrite ^ http://a/ permanent", "301 to http://a/, arguments added"),
            ("rewrite ^ HTTP://a/", "HTTP://a/ Continue, arguments added"),
            ("rewrite ^ \"\"", "empty replacement"),
            ("rewrite ^ /a final", "invalid parameter \"final\""),
            ("rewrite ^ /$none", "unknown \"none\" variable"),
            ("rewrite ^(?<uri>.) /a", "the duplicate \"uri\" variable"),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
