//! Targets, levels, reopening and the events of packages, through real files.

use std::fs;

use super::*;

fn target(path: &Path, level: Level) -> LogTarget {
    LogTarget { sink: LogSink::File(path.to_owned()), level }
}

/// One test for all that goes through the log of the process, since tests are threads of one process.
#[test]
fn lines_go_to_each_target_from_its_level_on() {
    let dir = tempfile::tempdir().unwrap();
    let (errors, all, own) = (dir.path().join("errors"), dir.path().join("all"), dir.path().join("own"));
    let said = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    leave_console();
    init(&[target(&errors, Level::Error), target(&all, Level::Info)]).unwrap();
    route_events();

    write(Level::Error, format_args!("first"));
    write(Level::Info, format_args!("second"));
    write(Level::Debug, format_args!("nobody wants this"));
    assert!(said(&errors).contains("first") && !said(&errors).contains("second"));
    assert!(said(&all).contains("first") && said(&all).contains("second"));
    assert!(!said(&all).contains("nobody"));
    assert!(enabled(Level::Info) && !enabled(Level::Debug));

    tracing::warn!(files = 3, "from a package");
    assert!(said(&all).contains("[warn]") && said(&all).contains("from a package, files: 3"));

    let targets = [target(&own, Level::Debug)];
    open(&targets).unwrap();
    write_for(Some(&targets), Level::Debug, Some(5), format_args!("of a location"));
    assert!(said(&own).contains("*5 of a location") && !said(&all).contains("of a location"));

    fs::rename(&all, dir.path().join("old")).unwrap();
    write(Level::Notice, format_args!("still in the old file"));
    reopen();
    write(Level::Notice, format_args!("in the new file"));
    assert!(said(&dir.path().join("old")).contains("still in the old file"));
    assert!(said(&all).contains("in the new file") && !said(&all).contains("still"));

    let nowhere = dir.path().join("missing/error.log");
    let error = init(&[target(&nowhere, Level::Error)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("open() \"{}\" failed (2: No such file or directory)", nowhere.display())
    );
    write(Level::Notice, format_args!("the log stays as it was"));
    assert!(said(&all).contains("the log stays as it was"));
}
