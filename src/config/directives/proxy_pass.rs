//! `proxy_pass`, and `proxy_redirect default`, which is made from it.

use std::sync::Arc;

use super::{
    proxy::ProxyConf,
    upstream::{UpstreamConf, addresses},
    value_rules::{RedirectWritten, ValuePattern, ValueRule},
};
use crate::{
    address::{Address, Lone},
    parse::Directive,
    scope::Scope,
    source::{Met, Problem},
    template::Template,
    tree::{LocationName, ProxyPass, ProxyTarget, Scheme},
};

/// Reads `proxy_pass` of a location with this name.
pub fn proxy_pass(
    directive: &Directive,
    name: &LocationName,
    scope: &Scope<'_>,
) -> Result<ProxyPass, Problem> {
    let url = directive.text(0).into_owned();
    let template = scope.template(directive, 0)?;
    if template.as_text().is_none() {
        return Ok(ProxyPass {
            target: ProxyTarget::Variable(template),
            scheme: Scheme::Http,
            uri: None,
            host: String::new(),
            port: String::new(),
            location_len: name.prefix_len(),
            redirect: Vec::new(),
        });
    }
    let (scheme, _) = Scheme::split(url.as_bytes()).ok_or_else(|| {
        directive.fail(0, "invalid URL prefix").with_help(format!("write http:// before it: http://{url}"))
    })?;
    let rest = &url[scheme.prefix().len()..];
    let (address, uri) = split_uri(rest);
    if !uri.is_empty() && name.prefix_len() == 0 {
        let message = "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside \
                       named location, or inside \"if\" statement, or inside \"limit_except\" block";
        return Err(directive.fail(0, message).with_help(format!("leave \"{uri}\" away")));
    }
    let invalid = |error| directive.fail(0, format!("{error} in upstream \"{rest}\""));
    let default_port = scheme.default_port();
    let (host, port) = match Address::parse(address, Lone::Host).map_err(invalid)? {
        Address::Unix(_) => ("localhost".to_owned(), String::new()),
        Address::Host { written, ports: Some((port, _)), .. } if port != default_port => {
            (format!("{written}:{port}"), port.to_string())
        }
        Address::Host { written, .. } => (written, default_port.to_string()),
    };
    Ok(ProxyPass {
        target: ProxyTarget::Group(group(directive, address, scheme, scope)?),
        scheme,
        uri: if uri.is_empty() { None } else { Some(with_slash(uri).into_bytes()) },
        host,
        port,
        location_len: name.prefix_len(),
        redirect: Vec::new(),
    })
}

/// Splits the path off an address: behind `unix:PATH:`, or from the first `/` or `?`.
fn split_uri(text: &str) -> (&str, &str) {
    let at = if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unix:")) {
        return text[5..].split_once(':').map_or((text, ""), |(path, uri)| (&text[..5 + path.len()], uri));
    } else {
        text.find(['/', '?', '#']).unwrap_or(text.len())
    };
    text.split_at(at)
}

/// As nginx: `http://host?a` asks for `/?a`.
fn with_slash(uri: &str) -> String {
    if uri.starts_with('/') { uri.to_owned() } else { format!("/{uri}") }
}

/// Finds the group of an address, or makes one of its own.
fn group(
    directive: &Directive,
    address: &str,
    scheme: Scheme,
    scope: &Scope<'_>,
) -> Result<Arc<UpstreamConf>, Problem> {
    let (host, port) = address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
    if let Some(group) = scope.upstreams.get(&UpstreamConf::key(host)) {
        return match port {
            None => Ok(Arc::clone(group)),
            Some(port) => Err(directive
                .fail(0, format!("upstream \"{host}\" may not have port {port}"))
                .with_help("the group's servers have ports of their own")),
        };
    }
    let name = UpstreamConf::implicit_name(scheme, address);
    if let Some(group) = scope.implicit.borrow().get(&name) {
        return Ok(Arc::clone(group));
    }
    let addresses = addresses(directive, address, scheme.default_port(), scope).map_err(|message| {
        let close = crate::suggest::did_you_mean(host, scope.upstreams.values().map(|group| &*group.name));
        // As nginx: hosts are looked up when all is read.
        directive.fail(0, message).with_help_if(close).met(Met::Inheriting)
    })?;
    let group = Arc::new(UpstreamConf::implicit(name.clone(), addresses));
    scope.implicit.borrow_mut().insert(name, Arc::clone(&group));
    Ok(group)
}

/// Works out the rules of `proxy_redirect` for a `proxy_pass`; the rules as written were inherited already.
pub fn redirect_rules(
    directive: &Directive,
    pass: &ProxyPass,
    name: &LocationName,
    proxy: &ProxyConf,
) -> Result<Vec<ValueRule>, Problem> {
    let written = &proxy.redirect_written;
    let rules = written.iter().map(|rule| match rule {
        RedirectWritten::Rule(rule) => Ok(Some(rule.clone())),
        RedirectWritten::Default if !matches!(pass.target, ProxyTarget::Variable(_)) => {
            Ok(Some(default_rule(&directive.text(0), pass, name)))
        }
        RedirectWritten::Default if !written.is_written() => Ok(None),
        RedirectWritten::Default => {
            let message =
                "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
            Err(directive.fail(0, message))
        }
    });
    rules.filter_map(Result::transpose).collect()
}

/// As nginx: the URL turns into the location's name, or without a path in it, its root into `/`.
fn default_rule(url: &str, pass: &ProxyPass, name: &LocationName) -> ValueRule {
    let (from, to) = match pass.uri {
        Some(_) => (url.to_owned(), name.prefix().to_owned()),
        None => (format!("{url}/"), "/".to_owned()),
    };
    ValueRule { from: ValuePattern::Prefix(Template::text(from)), to: Template::text(to) }
}
