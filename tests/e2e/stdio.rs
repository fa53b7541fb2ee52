//! Standard input and both outputs, without a terminal: binary safe, and apart.

use kit::common;

/// Bytes of every value, in no order.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn cat_gives_back_a_mebibyte_byte_by_byte() {
    let md = common!();
    let bytes = noise(1 << 20);
    let out = md.call(["run", "--rm", "-i", "hostbox", "cat"]).stdin(bytes.clone()).run().ok().quiet();
    assert!(out.stdout == bytes, "{} bytes came back", out.stdout.len());
}

#[test]
fn both_outputs_stay_apart_and_whole() {
    let md = common!();
    let both = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; echo end";
    let out = crate::script(&md, both).ok();
    assert_eq!((out.stdout.len(), out.stderr.len()), (300_004, 200_000));
    assert!(out.stdout.ends_with(b"\0end\n"));
}

#[test]
fn a_large_output_arrives_whole() {
    let md = common!();
    let out = crate::script(&md, "head -c 33554432 /dev/zero").ok().quiet();
    assert_eq!(out.stdout.len(), 32 << 20);
}

#[test]
fn a_reader_that_waits_loses_nothing() {
    let md = common!();
    let mut client =
        md.call(["run", "--rm", "hostbox", "sh", "-c", "echo go; head -c 1000000 /dev/zero"]).spawn();
    client.expect("go\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.finish().ok().stdout.len(), 1_000_003);
}

#[test]
fn without_i_standard_input_is_empty() {
    let md = common!();
    md.call(["run", "--rm", "hostbox", "cat"]).stdin("never read").run().ok().stdout_is("").quiet();
}

#[test]
fn the_end_of_input_ends_cat() {
    let md = common!();
    md.call(["run", "--rm", "-i", "hostbox", "cat"]).stdin("").run().ok().stdout_is("").quiet();
    let mut cat = md.call(["run", "--rm", "-i", "hostbox", "cat"]).stdin_open().spawn();
    cat.send(b"one\n");
    cat.expect("one\n");
    cat.send(b"two\n");
    cat.expect("two\n");
    cat.close_stdin();
    cat.finish().ok().quiet();
}

#[test]
fn a_payload_that_leaves_its_input_unread_ends_all_the_same() {
    let md = common!();
    md.call(["run", "--rm", "-i", "hostbox", "true"]).stdin(noise(1 << 20)).run().ok().quiet();
    let open = md.call(["run", "--rm", "-i", "hostbox", "sh", "-c", "exit 4"]).stdin_open().spawn();
    let _ = open.finish().code(4);
}

#[test]
fn an_output_that_the_payload_closed_is_no_end() {
    let md = common!();
    crate::script(&md, "echo one; exec >&-; echo two >&2; exit 5").code(5).stdout_is("one").stderr_has("two");
}

#[test]
fn any_of_0_1_2_may_be_closed() {
    let md = kit::ours!();
    for closed in ["0", "1", "2", "01", "02", "12", "012"] {
        let redirect: String = closed.chars().map(|fd| format!(" {fd}>&-")).collect();
        let payload = "echo out; echo err >&2; exit 6";
        let call = md.call(["run", "--rm", "-i", "hostbox", "sh", "-c", payload]);
        let out = call.through(&format!("exec \"$@\" {redirect}")).run().code(6);
        let told = |fd, text: &str| if closed.contains(fd) { String::new() } else { text.to_owned() };
        assert_eq!((out.out(), out.err()), (told('1', "out"), told('2', "err")), "{closed:?}");
    }
    md.nothing_left();
}

#[test]
fn the_log_keeps_both_streams_as_docker_does() {
    let md = kit::ours!();
    md.run(["run", "--name", "log", "hostbox", "sh", "-c", "echo out; echo err >&2"]).ok();
    let log = std::fs::read_to_string(crate::inspect(&md, "log")["LogPath"].as_str().unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for (stream, text) in [("stdout", "out\n"), ("stderr", "err\n")] {
        let found = lines.iter().filter(|l| l["stream"] == stream).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{log}");
        assert_eq!(found[0]["log"], text);
        assert!(found[0]["time"].as_str().unwrap().ends_with('Z'), "{log}");
    }
}
