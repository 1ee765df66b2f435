//! `try_files`: the first file that is there becomes the path in force.

use std::{ffi::OsString, ops::ControlFlow, os::unix::ffi::OsStringExt, path::PathBuf};

use config::{Fallback, Template, TriedKind, TryFiles};

use super::{
    check_alias, fail, look,
    path::{Replaced, document_root, replaced},
    report_look,
};
use crate::http::{Exchange, fault, phases::Ending};

/// Looks for the files; the request goes on where one is there, and as the fallback says otherwise.
pub async fn choose(exchange: &mut Exchange, tried: &TryFiles) -> ControlFlow<Ending> {
    if let Err(fault) = check_alias(exchange) {
        return ControlFlow::Break(Ending::Fail(fault));
    }
    let root = document_root(exchange);
    for file in &tried.files {
        let name = name(exchange, &file.path);
        let path = PathBuf::from(OsString::from_vec([&root[..], &name].concat()));
        let (path, found) = look(path).await;
        match found {
            Ok(metadata) if metadata.is_dir() == (file.kind == TriedKind::Directory) => {
                take(exchange, name, file.kind);
                return ControlFlow::Continue(());
            }
            Ok(_) => {}
            Err(error) => report_look(exchange, &path, &error),
        }
    }
    ControlFlow::Break(fall_back(exchange, &tried.fallback))
}

/// Returns what follows the directory in a file's path.
///
/// As nginx: where variables make a path, an `alias` stands for its beginning, as it does in that of the request.
fn name(exchange: &Exchange, template: &Template) -> Vec<u8> {
    let name = template.expand(exchange);
    if template.as_text().is_some() {
        return name;
    }
    let matched = match replaced(exchange) {
        Replaced::Prefix(len) => exchange.uri.get(..len).unwrap_or_default(),
        Replaced::Nothing | Replaced::Whole => b"",
    };
    name.strip_prefix(matched).map(<[u8]>::to_vec).unwrap_or(name)
}

/// Puts the path of a file that is there in force.
fn take(exchange: &mut Exchange, name: Vec<u8>, kind: TriedKind) {
    match replaced(exchange) {
        Replaced::Nothing => exchange.uri = name,
        Replaced::Prefix(len) => {
            exchange.uri.truncate(len);
            exchange.uri.extend_from_slice(&name);
        }
        Replaced::Whole if kind == TriedKind::File => {
            exchange.uri = name;
            exchange.appends_to_alias = true;
        }
        Replaced::Whole => {}
    }
}

fn fall_back(exchange: &mut Exchange, fallback: &Fallback) -> Ending {
    let target = match fallback {
        Fallback::Status(status) => return fail(*status),
        Fallback::Uri(template) => name(exchange, template),
    };
    if let Some(name) = target.strip_prefix(b"@") {
        return match fault::named_location(exchange, name) {
            Ok(location) => Ending::Named(location),
            Err(fault) => Ending::Fail(fault),
        };
    }
    let (uri, args) = fault::split_args(&target);
    exchange.redirect(uri.to_vec(), args.to_vec());
    Ending::Restart
}
