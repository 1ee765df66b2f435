//! Processes with few descriptors.

use std::thread;

use super::{ask, conf_of, origin_of_pages, wait_for_hit};
use crate::support::{Conf, Server};

fn few(conf: &Conf, descriptors: u32) -> Conf {
    let line = format!("worker_rlimit_nofile {descriptors};\nevents {{");
    conf.with_text(|text| text.replacen("events {", &line, 1))
}

#[test]
fn entries_that_are_kept_open_leave_descriptors_to_clients() {
    let origin = origin_of_pages();
    let server = Server::start(&few(&conf_of("cache", "use_temp_path=off", &origin), 64));
    if server.program().is_nginx() {
        return;
    }
    for round in 0..3 {
        for number in 0..80 {
            ask(&server, &format!("/large/{number}"));
        }
        println!("round {round} is over");
    }
    wait_for_hit(&server, "/large/79");
    let log = server.read("error.log");
    assert!(!log.contains("Too many open files"), "{log}");
}

#[test]
fn all_are_answered_while_descriptors_are_scarce() {
    let origin = origin_of_pages();
    let mut server = Server::start(&few(&conf_of("cache", "use_temp_path=off", &origin), 48));
    server.allow_in_log("Too many open files");
    if server.program().is_nginx() {
        return;
    }
    for number in 0..20 {
        wait_for_hit(&server, &format!("/large/{number}"));
    }
    // More clients than there are descriptors: those who come too late wait for the first ones to leave.
    let idle: Vec<_> = (0..40).map(|_| server.client()).collect();
    let asker = |first: usize| {
        let server = &server;
        move || (0..5).for_each(|number| drop(ask(server, &format!("/large/{}", first * 5 + number))))
    };
    thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|first| scope.spawn(asker(first))).collect();
        // They are let in as soon as somebody leaves.
        drop(idle);
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    });
    wait_for_hit(&server, "/small/after");
}
