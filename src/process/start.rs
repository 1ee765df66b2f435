//! From the command line to a running server, or to the answer of a command that ends at once.

use std::{
    env,
    ffi::OsString,
    io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use config::{Loaded, LogLevel, LogSink, LogTarget, MainText, Source, offline::ConfFile};
use nix::sys::signal::{Signal, kill};

use super::{
    Program,
    arguments::{self, Command, Output, Place, Report, Request},
    daemon::{self, Ground},
    generation::{self, Generation, Read, Refused},
    listen::Listeners,
    master::Master,
    pid_file,
    quick::Quick,
    rights, single,
    title::Title,
    upgrade, words,
};
use crate::{
    error_log::{self, Level, system_words},
    tools,
};

/// Does what the command line asks; returns the status to exit with.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let own = arguments.get(1..).unwrap_or_default();
    match arguments::parse(own) {
        Err(complaint) => {
            eprintln!("larder: {complaint}\nTry \"larder --help\".");
            ExitCode::FAILURE
        }
        Ok(Command::Help) => print(&words::help()),
        Ok(Command::Cache(wish)) => tools::work_on_caches(&wish, &rights::stoop_to_owner),
        Ok(Command::Prewarm(wish)) => tools::prewarm(&wish),
        Ok(Command::Version(detail)) => {
            // As nginx: on standard error.
            eprint!("{}", words::version(detail));
            ExitCode::SUCCESS
        }
        Ok(Command::Test(place, report)) => {
            begin(&place).map_or(ExitCode::FAILURE, |plan| test(&plan, report))
        }
        Ok(Command::Signal(place, request)) => begin(&place)
            .and_then(|plan| tell(&plan, request))
            .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Ok(Command::Run(place)) => {
            begin(&place).and_then(|plan| serve(plan, arguments)).unwrap_or(ExitCode::FAILURE)
        }
        Ok(Command::Proxy(proxy)) => match Quick::proxy(&proxy) {
            Err(complaint) => {
                eprintln!("larder: {complaint}");
                ExitCode::FAILURE
            }
            Ok(quick) if proxy.output == Output::Print => print(&quick.text),
            Ok(quick) => {
                let plan = Plan::quick(quick, &Place::default());
                plan.and_then(|plan| serve(plan, arguments)).unwrap_or(ExitCode::FAILURE)
            }
        },
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is to be read, and where from.
struct Plan {
    source: Source,
    /// Where there is no file: what stands in its place.
    quick: Option<Quick>,
}

impl Plan {
    fn quick(quick: Quick, place: &Place) -> Result<Self, Refused> {
        let prefix = current_dir()?;
        let source = quick.source(prefix, place.globals.clone(), place.error_log.clone());
        Ok(Self { source, quick: Some(quick) })
    }
}

/// Finds what to read, and opens the first error log.
fn begin(place: &Place) -> Result<Plan, Refused> {
    let conf = match (&place.conf, &place.prefix) {
        (Some(conf), _) => conf.clone(),
        (None, Some(_)) => PathBuf::from(ConfFile::DEFAULT),
        (None, None) => {
            let quick = Quick::demonstration(place.listen).map_err(|complaint| refuse(&complaint))?;
            return Plan::quick(quick, place);
        }
    };
    if place.listen.is_some() {
        return Err(refuse(
            &"--listen is for the demonstration; a configuration file says itself where it listens",
        ));
    }
    let prefix = place.prefix.clone().map_or_else(current_dir, Ok)?;
    if let Some(path) = &place.error_log {
        let target = LogTarget { sink: LogSink::File(prefix.join(path)), level: LogLevel::Notice };
        if let Err(error) = error_log::init(&[target]) {
            error_log::write(Level::Alert, format_args!("could not open error log file: {error}"));
        }
    }
    let source = Source {
        prefix,
        main: MainText::File(conf),
        globals: place.globals.clone(),
        error_log: place.error_log.clone(),
    };
    Ok(Plan { source, quick: None })
}

fn current_dir() -> Result<PathBuf, Refused> {
    env::current_dir().map_err(|error| refuse(&format!("getcwd() failed ({})", system_words(&error))))
}

fn refuse(complaint: &dyn std::fmt::Display) -> Refused {
    error_log::write(Level::Emerg, format_args!("{complaint}"));
    Refused
}

fn main_path(source: &Source) -> PathBuf {
    match &source.main {
        MainText::File(path) => source.prefix.join(path),
        MainText::Embedded { name, .. } => name.clone(),
    }
}

/// Reads the configuration and tries its sockets, and says so in nginx's words.
fn test(plan: &Plan, report: Report) -> ExitCode {
    let path = main_path(&plan.source);
    let path = path.display();
    let result = generation::read(&plan.source, None).and_then(|Read { loaded, .. }| {
        if matches!(report, Report::Result | Report::Files) {
            eprintln!("larder: the configuration file {path} syntax is ok");
        }
        generation::check(&loaded.config).map(|()| loaded)
    });
    let Ok(loaded) = result else {
        eprintln!("larder: configuration file {path} test failed");
        return ExitCode::FAILURE;
    };
    if matches!(report, Report::Result | Report::Files) {
        eprintln!("larder: configuration file {path} test is successful");
    }
    match report {
        Report::Result | Report::Quiet => ExitCode::SUCCESS,
        Report::Files | Report::FilesOnly => dump(&loaded),
    }
}

/// Prints each file once, exactly.
fn dump(loaded: &Loaded) -> ExitCode {
    let mut out = io::stdout().lock();
    let printed = loaded.files.iter().try_for_each(|file| {
        writeln!(out, "# configuration file {}:", file.path.display())?;
        out.write_all(&file.text)?;
        writeln!(out)
    });
    printed.and_then(|()| out.flush()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Tells the master whose pid file the configuration names.
fn tell(plan: &Plan, request: Request) -> Result<(), Refused> {
    let loaded = generation::load(&plan.source)?;
    let pid = pid_file::read(&loaded.config.main.pid).map_err(|error| {
        error_log::write(Level::Error, format_args!("{error}"));
        Refused
    })?;
    let signal = match request {
        Request::Stop => Signal::SIGTERM,
        Request::Quit => Signal::SIGQUIT,
        Request::Reload => Signal::SIGHUP,
        Request::Reopen => Signal::SIGUSR1,
    };
    kill(pid, signal).map_err(|error| {
        let error = system_words(&error.into());
        error_log::write(Level::Alert, format_args!("kill({pid}, {}) failed ({error})", signal as i32));
        Refused
    })
}

/// Serves until signals end it.
fn serve(plan: Plan, arguments: Vec<OsString>) -> Result<ExitCode, Refused> {
    let inherited = upgrade::inherited().map_err(|error| refuse(&error))?;
    let title = Title::new(&arguments).map_err(|error| refuse(&error))?;
    error_log::route_events();
    report_panics();
    let Plan { source, quick } = plan;
    if let Some(quick) = &quick {
        quick.write_files(&source.prefix).map_err(|error| refuse(&files_failed(&source.prefix, &error)))?;
    }
    let read = generation::read(&source, None)?;
    let main = &read.loaded.config.main;
    let (is_daemon, has_master) = (*main.daemon, *main.master_process);
    let first = Generation::open(read, inherited.as_ref().unwrap_or(&Listeners::default()));
    let first = first.inspect_err(|_| {
        if quick.is_some() {
            eprintln!("larder: choose another port with --listen, for instance: --listen 127.0.0.1:9000");
        }
    })?;
    // As nginx: a program that takes another's place is in the background already, if it is to be.
    let (ground, launcher) = match (is_daemon, inherited.is_some()) {
        (true, false) => (Ground::Back, Some(daemon::detach().map_err(|error| refuse(&error))?)),
        (true, true) => (Ground::Back, None),
        (false, _) => (Ground::Fore, None),
    };
    drop(inherited);
    let program = Program { arguments, ground };
    let log = first.config.main.error_log.clone();
    let here = program.clone();
    let on_ready = Box::new(move || {
        if let Some(quick) = quick {
            // A closed terminal is no reason to stop serving.
            let _ = io::stdout().write_all(quick.greeting.as_bytes());
        }
        here.leave_terminal(&log);
        if let Some(launcher) = launcher {
            launcher.succeed();
        }
    });
    if has_master {
        let master = Master::new(source, program, title, first, on_ready).map_err(|error| refuse(&error))?;
        Ok(master.run())
    } else {
        single::run(first, title, on_ready)
    }
}

fn files_failed(prefix: &Path, error: &io::Error) -> String {
    format!(
        "writing the files of the demonstration below \"{}\" failed ({})",
        prefix.display(),
        system_words(error)
    )
}

/// Writes panics to the log: each is a bug, and ends at most one connection.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| error_log::write(Level::Alert, format_args!("{panic}"))));
}
