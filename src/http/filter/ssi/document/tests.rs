//! Pages and what they become; the parts that need other requests are compared with nginx in `tests/parity`.

use std::collections::VecDeque;

use super::*;
use crate::http::filter::ssi::scanner::{Found, Scanner};

#[derive(Default)]
struct Fixed {
    page: RefCell<Page>,
    expressions: Expressions,
}

impl Surroundings for Fixed {
    fn page(&self) -> &RefCell<Page> {
        &self.page
    }

    fn variable(&self, name: &str, time_format: &[u8]) -> Option<Vec<u8>> {
        match name {
            "uri" => Some(b"/dir/page.html".to_vec()),
            "word" => Some(b"a<b>&\"c\"".to_vec()),
            "date_local" => Some([b"date ", time_format].concat()),
            _ => None,
        }
    }

    fn path(&self) -> &[u8] {
        b"/dir/page.html"
    }

    fn expressions(&self) -> &Expressions {
        &self.expressions
    }
}

/// Shows a page, with `!` where something is wrong and inclusions in brackets.
fn show(text: &str) -> String {
    let around = Fixed::default();
    let mut found = VecDeque::new();
    let mut scanner = Scanner::new(256);
    scanner.feed(&Bytes::copy_from_slice(text.as_bytes()), &mut found);
    scanner.end(&mut found);
    let mut document = Document::new();
    let mut shown = Vec::new();
    for one in found {
        match one {
            Found::Text(text) => shown.extend(document.text(text, &around.page).unwrap_or_default()),
            Found::Command(command) => match document.command(&command, &around) {
                Ok(Action::Nothing) => {}
                Ok(Action::Show(text)) => shown.extend(text),
                Ok(Action::Include(include)) => shown.extend(format!("{include:?}").into_bytes()),
                Err(_) => shown.push(b'!'),
            },
            Found::Mistake(mistake) => panic!("{mistake}"),
            Found::Failed => shown.push(b'!'),
        }
    }
    String::from_utf8(shown).unwrap()
}

#[test]
fn conditions_choose_what_is_shown() {
    for (page, wanted) in [
        (r#"<!--#if expr="a = a" -->1<!--#else -->2<!--#endif -->3"#, "13"),
        (r#"<!--#if expr="a = b" -->1<!--#else -->2<!--#endif -->3"#, "23"),
        (
            r#"<!--#if expr="a = b" -->1<!--#elif expr="a" -->2<!--#elif expr="a" -->3<!--#else -->4<!--#endif -->"#,
            "2",
        ),
        (r#"<!--#if expr="a" -->1<!--#elif expr="a = " -->2<!--#endif -->"#, "1"),
        (r#"<!--#if expr="a" -->1<!--#else -->2<!--#elif expr="a" -->3<!--#endif -->4"#, "1!4"),
        (r#"<!--#else -->1<!--#endif -->2<!--#elif expr="a" -->3"#, "!1!2!3"),
        (r#"<!--#if expr="a = b" -->1<!--#if expr="a" -->2<!--#endif -->3<!--#endif -->4"#, "3!4"),
        (r#"<!--#if expr="a" -->1<!--#if expr="a" -->2<!--#endif -->3<!--#endif -->4"#, "1!23!4"),
        (r#"<!--#if expr="a > b" -->1<!--#else -->2<!--#endif -->"#, "!1!2!"),
        (r#"<!--#if expr="a = b" --><!--#nothing --><!--#echo -->1<!--#endif -->2"#, "2"),
        (r#"<!--#if -->1<!--#endif -->"#, "!1!"),
        (r#"<!--#if expr="a" -->unfinished"#, "unfinished"),
    ] {
        assert_eq!(show(page), wanted, "{page}");
    }
}

#[test]
fn values_are_set_and_shown() {
    for (page, wanted) in [
        (r#"<!--#echo var="uri" -->"#, "/dir/page.html"),
        (r#"<!--#echo var="URI" -->"#, "/dir/page.html"),
        (r#"<!--#echo var="none" --><!--#echo var="none" default="<" -->"#, "(none)&lt;"),
        (r#"<!--#echo var="word" -->"#, "a&lt;b&gt;&amp;&quot;c&quot;"),
        (r#"<!--#echo var="word" encoding="none" -->"#, "a<b>&\"c\""),
        (r#"<!--#echo var="word" encoding="url" -->"#, "a%3Cb%3E&%22c%22"),
        (r#"<!--#echo var="word" encoding="none" --><!--#echo var="word" -->"#, "a<b>&\"c\"a<b>&\"c\""),
        (r#"<!--#set var="X" value="[$uri\$]" --><!--#echo var="x" -->"#, "[/dir/page.html$]"),
        (r#"<!--#set var="x" value="1" --><!--#set var="x" value="$x$x" --><!--#echo var="x" -->"#, "11"),
        (r#"<!--#set var="x" value="$" -->"#, "!"),
        (
            r#"<!--#if expr="$uri = /(..)r(?<End>.*)/" --><!--#echo var="1" --> <!--#echo var="end" --><!--#endif -->"#,
            "di /page.html",
        ),
        (r#"<!--#config timefmt="%Y" --><!--#echo var="date_local" -->"#, "date %Y"),
        (r#"<!--#echo var="uri" var="uri" --><!--#echo x="y" --><!--#echo --><!--#nothing -->"#, "!!!!"),
    ] {
        assert_eq!(show(page), wanted, "{page}");
    }
}

#[test]
fn blocks_keep_their_text_for_stubs() {
    let page = r#"<!--#block name="a" -->A <!--#echo var='uri' --><!--#if expr="x" --><!--#nothing --><!--#endblock -->B"#;
    let include = r#"<!--#include virtual="/x" stub="a" -->"#;
    let wanted = Include {
        target: b"/x".to_vec(),
        becomes: Becomes::OrElse(
            Bytes::from_static(b"A <!--#echo var=\"uri\" --><!--#if expr=\"x\" -->"),
            Wait::Not,
        ),
    };
    assert_eq!(show(&format!("{page}{include}")), format!("B{wanted:?}"));
    assert_eq!(show(&format!("{include}{page}")), "!B");
}

#[test]
fn inclusions_start_from_the_documents_own_place() {
    let include = |parameters: &str| show(&format!("<!--#include {parameters} -->"));
    let wanted = |target: &str, becomes| format!("{:?}", Include { target: target.into(), becomes });
    for (parameters, target, becomes) in [
        (r#"virtual="/a?b=$uri""#, "/a?b=/dir/page.html", Becomes::Shown),
        (r#"virtual="a""#, "/dir/a", Becomes::Shown),
        (r#"virtual="a" wait="No""#, "/dir/a", Becomes::Shown),
        (r#"virtual="a" wait="Yes""#, "/dir/a", Becomes::ShownFirst),
        (r#"file="a""#, "/dir/a", Becomes::ShownFirst),
        (r#"virtual="a" set="X""#, "/dir/a", Becomes::Value("x".to_owned())),
    ] {
        assert_eq!(include(parameters), wanted(target, becomes), "{parameters}");
    }
    for parameters in [
        "",
        r#"virtual="a" file="a""#,
        r#"wait="yes""#,
        r#"virtual="a" wait="maybe""#,
        r#"file="a" wait="yes""#,
        r#"virtual="a" stub="none""#,
        r#"virtual="a" stub="a" set="b""#,
    ] {
        assert_eq!(include(parameters), "!", "{parameters}");
    }
}
