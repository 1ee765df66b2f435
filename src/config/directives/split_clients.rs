//! `split_clients`: a variable that divides what comes into parts of given sizes.

use std::sync::Arc;

use super::computed::{KEY, value_of};
use crate::{
    parse::Directive,
    scope::Scope,
    source::Problem,
    split::{Share, SplitTable},
    template::Template,
};

/// `split_clients`.
#[derive(Debug, Clone)]
pub struct SplitConf {
    /// The text that decides.
    pub key: Template,
    /// The parts.
    pub table: SplitTable,
}

/// Reads a `split_clients`.
pub fn split_clients(directive: &Directive, scope: &Scope<'_>) -> Result<SplitConf, Problem> {
    let mut conf = SplitConf { key: scope.template(directive, 0)?, table: SplitTable::default() };
    for line in directive.block.iter().flatten() {
        let share = Share::parse(&line.name.text).ok_or_else(|| {
            let problem = line.fail(KEY, format!("invalid percent value \"{}\"", line.name()));
            problem.with_help("accepted: 0.01% to 100%, and * for what is left")
        })?;
        let value = value_of(line, "invalid number of the split_clients parameters")?;
        conf.table.push(share, Arc::from(value)).map_err(|error| line.fail(KEY, error.to_string()))?;
    }
    Ok(conf)
}
