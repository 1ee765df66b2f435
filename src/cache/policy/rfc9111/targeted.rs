//! Targeted fields (RFC 9213): a dictionary of RFC 8941 that stands for `Cache-Control` and `Expires`.
//!
//! One that is not valid, or empty, is as if it were not there; a member of the wrong type is not used.

use std::convert::Infallible;

use http1::Fields;
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser, Version};

use super::control::Control;
use crate::policy::list::{DELTA_MOST, Delta};

/// Reads the targeted field of that name.
pub(super) fn read(fields: &Fields, name: &str) -> Option<Control> {
    let lines: Vec<&[u8]> = fields.all(name).collect();
    if lines.is_empty() {
        return None;
    }
    // RFC 8941, 4.2: several lines are one list.
    let text = lines.join(&b", "[..]);
    let members = Members { control: Control { is_targeted: true, ..Control::default() }, count: 0 };
    let parser = Parser::new(&text).with_version(Version::Rfc8941);
    let members = parser.parse_dictionary_with_visitor(members).ok()?;
    (members.count > 0).then_some(members.control)
}

struct Members {
    control: Control,
    count: usize,
}

/// One member: of several with a key, the last one counts.
struct Member<'a, 'de> {
    control: &'a mut Control,
    key: &'de str,
}

/// The value of a member, as far as directives have such values.
#[derive(Clone, Copy)]
enum Value {
    True,
    Seconds(u32),
    Names,
    Other,
}

impl Member<'_, '_> {
    fn note(self, value: Value) {
        let Self { control, key } = self;
        let is_true = matches!(value, Value::True);
        // With names of fields, the whole answer is meant: as in Cache-Control.
        let is_true_or_names = matches!(value, Value::True | Value::Names);
        let seconds = match value {
            Value::Seconds(seconds) => Some(Delta::Seconds(seconds)),
            Value::True | Value::Names | Value::Other => None,
        };
        match key {
            "no-store" => control.no_store = is_true,
            "no-cache" => control.no_cache = is_true_or_names,
            "private" => control.private = is_true_or_names,
            "public" => control.public = is_true,
            "must-revalidate" => control.must_revalidate = is_true,
            "proxy-revalidate" => control.proxy_revalidate = is_true,
            "must-understand" => control.must_understand = is_true,
            "s-maxage" => control.s_maxage = seconds,
            "max-age" => control.max_age = seconds,
            "stale-while-revalidate" => control.stale_while_revalidate = seconds,
            "stale-if-error" => control.stale_if_error = seconds,
            _ => {}
        }
    }
}

impl<'de> DictionaryVisitor<'de> for Members {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        self.count += 1;
        Ok(Member { control: &mut self.control, key: key.as_str() })
    }

    fn finish(self) -> Result<Self, Self::Error> {
        Ok(self)
    }
}

impl<'de> EntryVisitor<'de> for Member<'_, 'de> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        self.note(Value::Other);
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Member<'_, 'de> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = Self::Out>, Self::Error> {
        self.note(match item {
            BareItemFromInput::Boolean(true) => Value::True,
            BareItemFromInput::String(_) => Value::Names,
            BareItemFromInput::Integer(number) => match u64::try_from(i64::from(number)) {
                Ok(number) => {
                    Value::Seconds(u32::try_from(number).map_or(DELTA_MOST, |number| number.min(DELTA_MOST)))
                }
                Err(_) => Value::Other,
            },
            BareItemFromInput::Boolean(false)
            | BareItemFromInput::Decimal(_)
            | BareItemFromInput::ByteSequence(_)
            | BareItemFromInput::Token(_)
            | BareItemFromInput::Date(_)
            | BareItemFromInput::DisplayString(_) => Value::Other,
        });
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(text: &str) -> Option<Control> {
        let mut fields = Fields::new();
        for line in text.lines() {
            fields.push(b"CDN-Cache-Control", line.as_bytes());
        }
        read(&fields, "cdn-cache-control")
    }

    #[test]
    fn members_count_where_they_have_the_right_type() {
        let empty = Control { is_targeted: true, ..Control::default() };
        let max_age = |seconds| Some(Control { max_age: Some(Delta::Seconds(seconds)), ..empty });
        let cases = [
            ("max-age=60", max_age(60)),
            ("max-age=60;a;b=1", max_age(60)),
            ("max-age=10, max-age=60", max_age(60)),
            ("max-age=10\nmax-age=60", max_age(60)),
            ("unknown=(1 2), max-age=60", max_age(60)),
            ("max-age=999999999999999", max_age(DELTA_MOST)),
            ("max-age=60.0", Some(empty)),
            ("max-age=\"60\"", Some(empty)),
            ("max-age=-60", Some(empty)),
            ("max-age", Some(empty)),
            ("max-age=a", Some(empty)),
            ("max-age=(60)", Some(empty)),
            ("max-age=60, max-age=a", Some(empty)),
            ("no-store", Some(Control { no_store: true, ..empty })),
            ("no-store=?1", Some(Control { no_store: true, ..empty })),
            ("no-store=?0", Some(empty)),
            ("no-store=1", Some(empty)),
            ("no-store, no-store=?0", Some(empty)),
            ("private=\"Set-Cookie\"", Some(Control { private: true, ..empty })),
            ("no-cache, public", Some(Control { no_cache: true, public: true, ..empty })),
            ("a", Some(empty)),
        ];
        for (text, wanted) in cases {
            assert_eq!(read_lines(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_dictionary_is_not_there() {
        let cases = [
            "",
            " ",
            "max-age=60,",
            "Max-Age=60",
            "max-age=60 public",
            "max-age=",
            "max-age =60",
            "max-age= 60",
            "max-age=60; ;",
            "max-age=\"60",
            "max-age=1234567890123456",
            "max-age=60, &&&&",
            "max-age=@60",
            "max-age=60\n&",
        ];
        for text in cases {
            assert_eq!(read_lines(text), None, "{text}");
        }
        assert_eq!(read(&Fields::new(), "cdn-cache-control"), None, "no field");
    }
}
