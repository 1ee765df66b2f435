//! Directives that are not one value of one block: blocks, and what needs its neighbours. They are read where the
//! tree is built; this is their table, for checks and documentation.

use super::core::BLOCK;
use crate::settings::{Arity, H, IF, L, LIF, Levels, M, RowDoc, S, SL};

/// A row of the table.
const fn row(
    name: &'static str,
    levels: Levels,
    arity: Arity,
    syntax: &'static str,
    about: &'static str,
) -> RowDoc {
    RowDoc { name, syntax, default: "", levels, arity, about }
}

/// The table.
pub const ROWS: [RowDoc; 24] = [
    row("events", M, Arity::exactly(0), BLOCK, " Holds what is about connections in general."),
    row("http", M, Arity::exactly(0), BLOCK, " Holds servers, and what is alike for them."),
    row("server", H, Arity::exactly(0), BLOCK, " Answers on addresses and names of its own."),
    row("upstream", H, Arity::exactly(1), "name { ... }", " Names a group of servers."),
    row(
        "location",
        SL,
        Arity::between(1, 2),
        "[= | ~ | ~* | ^~] path | @name { ... }",
        " Holds for some paths.",
    ),
    row("map", H, Arity::exactly(2), "string $variable { ... }", " Makes a variable of others by a table."),
    row("geo", H, Arity::between(1, 2), "[$address] $variable { ... }", " Makes a variable of an address."),
    row(
        "split_clients",
        H,
        Arity::exactly(2),
        "string $variable { ... }",
        " Makes a variable that divides what comes into parts of given sizes.",
    ),
    row("match", H, Arity::exactly(1), "name { ... }", " Says what a good answer to a check is."),
    row(
        "health_check",
        L,
        Arity::at_least(0),
        super::health_check::SYNTAX,
        " Checks the peers of the group.",
    ),
    row("include", Levels::all(), Arity::exactly(1), "file | mask", " Reads other files in this place."),
    row("listen", S, Arity::at_least(1), super::listen::SYNTAX, " Gives the server an address."),
    row("server_name", S, Arity::at_least(1), "name ...", " Gives the server names."),
    row("return", SL.and(IF), Arity::between(1, 2), "code [text] | code URL | URL", " Answers at once."),
    row("if", SL, Arity::at_least(1), "(condition) { ... }", " Holds for requests of which something is so."),
    row(
        "rewrite",
        SL.and(IF),
        Arity::between(2, 3),
        "regex replacement [last | break | redirect | permanent]",
        " Changes the path, or redirects.",
    ),
    row("set", SL.and(IF), Arity::exactly(2), "$variable value", " Gives a variable a value."),
    row("break", SL.and(IF), Arity::exactly(0), "", " Ends the steps of rewriting."),
    row("try_files", SL, Arity::at_least(2), "file ... uri | =code", " Looks for files, in order."),
    row("internal", L, Arity::exactly(0), "", " Lets only internal redirects in."),
    row("alias", L, Arity::exactly(1), "path", " Directory of files, in place of what the location matches."),
    row("proxy_pass", L.and(LIF), Arity::exactly(1), "URL", " Passes requests on to another server."),
    row(
        "log_format",
        H,
        Arity::at_least(2),
        "name [escape=default|json|none] string ...",
        " Makes a line for logs.",
    ),
    row("proxy_cache_path", H, Arity::at_least(2), super::cache_path::SYNTAX, " Makes a cache on disk."),
];
