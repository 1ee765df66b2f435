//! Expressions of pages, compiled once: the same pages are put together again and again.

use std::{cell::RefCell, rc::Rc};

use config::{Case, InvalidRegex, Regex};
use quick_cache::unsync::Cache;

/// Expressions that are kept: more than the pages of a site have, unless they are made of what clients say.
const KEPT_MOST: usize = 64;

/// The expressions that an event loop keeps, by their texts.
pub struct Expressions(RefCell<Cache<String, Rc<Regex>>>);

impl Default for Expressions {
    fn default() -> Self {
        Self(RefCell::new(Cache::new(KEPT_MOST)))
    }
}

impl Expressions {
    /// Returns an expression, which is compiled only if it is not kept.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn compiled(&self, text: &str) -> Result<Rc<Regex>, InvalidRegex> {
        if let Some(known) = self.0.borrow().get(text) {
            return Ok(Rc::clone(known));
        }
        let regex = Rc::new(Regex::new(text, Case::Sensitive)?);
        self.0.borrow_mut().insert(text.to_owned(), Rc::clone(&regex));
        Ok(regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_compiled_once_and_not_kept_for_ever() {
        let expressions = Expressions::default();
        let first = expressions.compiled("^a").expect("it is valid");
        assert!(Rc::ptr_eq(&first, &expressions.compiled("^a").expect("it is valid")));
        assert!(expressions.compiled("(").is_err());
        for number in 0..10 * KEPT_MOST {
            expressions.compiled(&format!("^{number}")).expect("it is valid");
        }
        assert!(expressions.0.borrow().len() <= KEPT_MOST);
    }
}
