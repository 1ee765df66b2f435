//! Command lines as tables.

use super::*;

fn read(line: &str) -> Result<Command, String> {
    let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    parse(&arguments)
}

fn place(conf: &str) -> Place {
    Place { conf: Some(conf.into()), ..Place::default() }
}

#[test]
fn flags_mean_what_they_mean_to_nginx() {
    let with_prefix =
        Place { prefix: Some("/srv".into()), error_log: Some("e.log".into()), ..place("n.conf") };
    let cases = [
        ("", Command::Run(Place::default())),
        ("-c n.conf", Command::Run(place("n.conf"))),
        ("-cn.conf", Command::Run(place("n.conf"))),
        ("-p /srv -c n.conf -e e.log", Command::Run(with_prefix)),
        ("-t", Command::Test(Place::default(), Report::Result)),
        ("-tq", Command::Test(Place::default(), Report::Quiet)),
        ("-T", Command::Test(Place::default(), Report::Files)),
        ("-q -T", Command::Test(Place::default(), Report::FilesOnly)),
        ("-tc n.conf", Command::Test(place("n.conf"), Report::Result)),
        ("-s reload -c n.conf", Command::Signal(place("n.conf"), Request::Reload)),
        ("-sstop", Command::Signal(Place::default(), Request::Stop)),
        ("-t -s quit", Command::Test(Place::default(), Report::Result)),
        ("-v", Command::Version(Detail::Short)),
        ("-vV", Command::Version(Detail::Full)),
        ("-V -v", Command::Version(Detail::Full)),
        ("-?", Command::Help),
        ("-h -t", Command::Help),
        ("--help", Command::Help),
        ("proxy --help", Command::Help),
        ("--listen 9000", Command::Run(Place { listen: "127.0.0.1:9000".parse().ok(), ..Place::default() })),
    ];
    for (line, wanted) in cases {
        assert_eq!(read(line), Ok(wanted), "{line}");
    }
}

#[test]
fn values_may_have_spaces() {
    let arguments = ["-g", "daemon off; pid x;"].map(OsString::from);
    let globals = Some("daemon off; pid x;".to_owned());
    assert_eq!(parse(&arguments), Ok(Command::Run(Place { globals, ..Place::default() })));
}

#[test]
fn proxy_takes_urls_in_order() {
    let wanted = ProxyArguments {
        to: vec!["http://a".to_owned(), "http://b:81".to_owned()],
        listen: "[::1]:80".parse().ok(),
        cache: Some("/var/cache/l".into()),
        max_size: Some("1g".to_owned()),
        trust: OriginTrust::Anybody,
        front: ProxyFront::Tls { certificate: "a.crt".into(), key: "a.key".into() },
        output: Output::Print,
    };
    let line = "proxy --to http://a --listen=[::1]:80 --to=http://b:81 --cache /var/cache/l --max-size 1g --insecure --tls a.crt a.key --print-config";
    assert_eq!(read(line), Ok(Command::Proxy(wanted)));
}

#[test]
fn complaints_say_what_was_meant() {
    let cases = [
        ("-x", "invalid option: \"x\""),
        ("-t conf", "invalid option: \"conf\""),
        ("-c", "option \"-c\" requires file name"),
        ("-p", "option \"-p\" requires directory name"),
        ("-g", "option \"-g\" requires parameter"),
        ("-s relaod", "invalid option: \"-s relaod\"; did you mean \"-s reload\"?"),
        ("--hlep", "invalid option: \"--hlep\"; did you mean \"--help\"?"),
        ("prxy --to x", "unknown command \"prxy\"; did you mean \"proxy\"?"),
        ("proxy", "option \"--to\" is missing: larder proxy --to http://127.0.0.1:3000"),
        ("proxy --to", "option \"--to\" requires a URL"),
        ("proxy --max-sise 1", "invalid option: \"--max-sise\"; did you mean \"--max-size\"?"),
        ("--listen x", "option \"--listen\" requires an address and port like 127.0.0.1:8080, not \"x\""),
    ];
    for (line, wanted) in cases {
        assert_eq!(read(line), Err(wanted.to_owned()), "{line}");
    }
}
