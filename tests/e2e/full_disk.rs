//! A store on a disk that is full when a container ends: how it ended is shown all the same.

use kit::{Minidocker, Output, Who};

/// Two containers that begin to write, and end with 3, when the disk is full. `hosts`: whether what they
/// have on it holds a block that they can do without. Then the shell commands `behind`, with `md` as the binary.
fn on_a_full_disk(md: &Minidocker, hosts: bool, behind: &str) -> Output {
    let world = "mount -t tmpfs -o mode=700,size=160m none /mnt\ncp -a \"$ROOT\"/. /mnt/\n\
                 chown \"$OWNER:$OWNER\" /mnt\nmount --move /mnt \"$ROOT\"\n";
    let script = r#"
        MD=$1; md() { "$MD" "$@"; }
        lines='echo up; read x; i=0; while [ $i -lt 300 ]; do echo line; i=$((i+1)); done; exit 3'
        for name in one two; do
            mkfifo go-$name
            md run --name $name -i hostbox sh -c "$lines" <go-$name >out-$name 2>err-$name &
            [ $name = one ] && { one=$!; exec 8>go-one; } || { two=$!; exec 9>go-two; }
            until grep -qs up out-$name; do sleep 0.05; done
        done
        "#
    .to_owned()
        + if hosts { "" } else { ": | tee \"$MINIDOCKER_ROOT\"/containers/*/hosts\n" }
        + "cat /dev/zero >\"$MINIDOCKER_ROOT/fill\" 2>cat; grep -q space cat || exit 9\n\
           echo >&8; wait $one; codes=$?; echo >&9; wait $two; codes=$codes,$?\n"
        + behind;
    let no_words: [&str; 0] = [];
    md.call(no_words).through(&script).in_world(world).cwd(&md.dir("here")).run()
}

macro_rules! root_builds {
    () => {
        kit::require!(
            rustix::process::geteuid().is_root() && Who::all().len() > 1,
            "not-root",
            "only root mounts a world for others"
        );
    };
}

#[test]
fn a_container_that_ended_on_a_full_disk_has_its_exit_code_and_says_what_its_log_lost() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let behind = r#"
            echo "codes $codes, $(cat out-one out-two | wc -l) lines"
            cat err-one err-two
            md ps; md ps -a | grep -o 'Exited (3)'
            md inspect one | grep -e ExitCode -e '"cannot write the log'
            rm "$MINIDOCKER_ROOT/fill"
            echo | md start -ai one >again; echo "again $?, $(wc -l <again) lines"
            md rm one two"#;
        let lost = "cannot write the log (lines of it are lost): write(\"log\", …) : ENOSPC (No space left on device)";
        let out = on_a_full_disk(&md, true, behind).ok().quiet();
        let expected = [
            "codes 3,3, 602 lines",
            &format!("minidocker: {lost}\r"),
            &format!("minidocker: {lost}\r"),
            "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES",
            "Exited (3)",
            "Exited (3)",
            "            \"ExitCode\": 3,",
            &format!("            {:?}", lost),
            "again 3, 301 lines",
            "one",
            "two",
        ];
        let shown: Vec<String> = out.out().split('\n').map(str::to_owned).collect();
        assert_eq!(shown, expected, "{who:?}: {out:?}");
        md.nothing_left();
    }
}

#[test]
fn without_a_block_to_spare_the_dead_are_shown_as_dead_with_one_message() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let behind = r#"
            echo "codes $codes"
            md ps 2>/dev/null; md ps -a 2>err | grep -o 'Exited (255)'; cat err
            md inspect one 2>/dev/null | grep ExitCode
            md kill one 2>&1
            md rm one
            rm "$MINIDOCKER_ROOT/fill"
            md ps -a | grep -o 'Exited (255)'; echo "ended $?"
            md rm two"#;
        let out = on_a_full_disk(&md, false, behind).ok().quiet();
        let lines: Vec<String> = out.out().split('\n').map(str::to_owned).collect();
        let has = |at: usize, text: &str| assert!(lines[at].contains(text), "{who:?}, line {at}: {out:?}");
        for (at, text) in [
            "codes 3,3",
            "CONTAINER ID ",
            "Exited (255)",
            "Exited (255)",
            "minidocker: cannot write down the end of container ",
            ".tmp\") : ENOSPC (No space left on device)",
            "  because: ",
            "  do: ",
            "\"ExitCode\": 255,",
            "minidocker: cannot kill container: one: container ",
            "one",
            "Exited (255)",
            "ended 0",
            "two",
        ]
        .into_iter()
        .enumerate()
        {
            has(at, text);
        }
        assert_eq!(lines.len(), 14, "{who:?}: {out:?}");
        md.nothing_left();
    }
}
