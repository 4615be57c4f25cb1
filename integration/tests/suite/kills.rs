//! The daemon killed: at every step of what takes several, and at random. What was acknowledged holds, what runs runs on,
//! exit codes are right, and nothing is left.

use super::support::{BUSYBOX, Dom0, Test, number, pv};

pub const TESTS: &[Test] = &[
    pv("kills::at_every_step", at_every_step),
    pv("kills::at_random", at_random),
];

/// Runs a command under a daemon that dies at a place, and starts the daemon again. The daemon goes down in any case: a place
/// that is not come to is a failure.
fn dies_at(dom0: &Dom0<'_>, place: &str, command: &str) {
    dom0.sh(&format!(
        "systemctl set-environment HYPER_FAULT={place}; systemctl restart hyperd; systemctl unset-environment HYPER_FAULT
         pid=$(systemctl show -p MainPID --value hyperd)
         {command} > /dev/null 2>&1
         tail --pid=$pid -f /dev/null
         systemctl stop hyperd; systemctl reset-failed hyperd 2> /dev/null; systemctl start hyperd"
    ))
    .ok();
}

fn at_every_step(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let create = format!("hyper create --type pv --name victim {BUSYBOX} sh -c 'sleep 1; exit 9'");
    let status = || dom0.sh("hyper inspect -f '{{.State.Status}}' victim").text();
    for place in ["create.begun", "create.made"] {
        dies_at(dom0, place, &create);
        dom0.hyper(&["inspect", "victim"]).code(1);
        dom0.sh("ls /var/lib/hyper/containers | wc -l").ok().stdout("0\n");
    }
    dom0.sh(&create).ok();
    for place in ["start.begun", "start.built"] {
        dies_at(dom0, place, "hyper start victim");
        assert_eq!(status(), "created", "{place}");
        dom0.sh("xl domid victim").code(1);
    }
    for place in ["start.running", "exit.recorded", "exit.ending", "exit.gone"] {
        dies_at(dom0, place, "hyper start victim");
        dom0.hyper(&["wait", "victim"]).ok().stdout("9\n");
        assert_eq!(status(), "exited", "{place}");
    }
    dies_at(dom0, "remove.begun", "hyper rm victim");
    dom0.hyper(&["inspect", "victim"]).code(1);
    dom0.sh(&create).ok();
    dies_at(dom0, "remove.done", "hyper rm victim");
    dom0.hyper(&["inspect", "victim"]).code(1);

    dom0.idle("box", BUSYBOX);
    let domid = dom0.sh("xl domid box").ok().text();
    dies_at(dom0, "exec.recorded", "hyper exec box true");
    assert_eq!(dom0.sh("xl domid box").ok().text(), domid);
    dom0.exec("box", &["sh", "-c", "exit 4"]).code(4);
    // A restart goes on where it was cut off.
    dies_at(dom0, "exit.ending", "hyper restart -t 0 box");
    dom0.hyper(&["start", "box"]).ok();
    assert_ne!(dom0.sh("xl domid box").ok().text(), domid);
    dom0.remove("box");
}

const KILLS: u32 = 20;

/// `HYPER_SEED` and `HYPER_KILLS` make it another, or longer.
fn at_random(dom0: &Dom0<'_>) {
    let seed = number("HYPER_SEED").unwrap_or_else(|| std::process::id().wrapping_mul(2_654_435_761));
    let kills = number("HYPER_KILLS").unwrap_or(KILLS);
    println!("seed {seed}, {kills} kills");
    dom0.pull(BUSYBOX);
    dom0.idle("stays", BUSYBOX);
    let domid = dom0.sh("xl domid stays").ok().text();
    let mut killing = dom0.spawn_sh(&format!("{RANDOM_KILLS}\nmain {seed} {kills} {BUSYBOX}"));
    for kill in 1..=kills {
        killing.expect(&format!("kill {kill}\n"));
    }
    killing.finish().ok();
    assert_eq!(
        dom0.sh("xl domid stays").ok().text(),
        domid,
        "seed {seed}: it is another guest"
    );
    dom0.exec("stays", &["sh", "-c", "exit 4"]).code(4);
    dom0.remove("stays");
}

/// Kills the daemon while a command is on its way, lets it start again, and checks what the command was said to have done.
const RANDOM_KILLS: &str = r#"
fail() { echo "after kill $kill, $what: $*"; hyper ps -a; journalctl -u hyperd -n 40 --no-pager -o cat; exit 1; }
status() { hyper inspect -f '{{.State.Status}}' "$1" 2> /dev/null || echo none; }
up() { systemctl reset-failed hyperd 2> /dev/null; systemctl start hyperd || fail "hyperd does not start"; }
main() {
    RANDOM=$(($1 % 32768)); kills=$2; image=$3
    for kill in $(seq "$kills"); do
        # What there is before, and what is to be done.
        before=$(status victim)
        case $before in
            none) what="create --type pv --name victim $image sh -c 'trap \"exit 6\" TERM; while :; do sleep 0.2; done'" wanted=created ;;
            created | exited) if [ $((RANDOM % 3)) = 0 ]; then what="rm victim" wanted=none; else what="start victim" wanted=running; fi ;;
            running) case $((RANDOM % 4)) in
                0) what="rm -f victim" wanted=none ;;
                1) what="stop -t 60 victim" wanted=exited ;;
                2) what="exec victim sh -c 'exit 5'" wanted=running ;;
                3) what="restart -t 60 victim" wanted=running ;;
            esac ;;
            *) fail "the state is $before" ;;
        esac
        eval "hyper $what" > /dev/null 2>&1 & command=$!
        # Somewhere in the first three seconds.
        sleep "$((RANDOM % 3)).$((RANDOM % 900 + 100))"
        systemctl kill -s KILL hyperd 2> /dev/null
        wait $command; code=$?
        up
        hyper version > /dev/null || fail "hyperd does not answer"
        # One that was not acknowledged may be on its way still: asked for again, it is done when it answers.
        case $code/$what in
            0/*) ;;
            */stop* | */restart*) eval "hyper $what" > /dev/null || fail "not even the second time"; code=0 ;;
        esac
        after=$(status victim)
        case $what in
            exec*) [ $code = 0 ] && fail "exit code 0" ; [ "$after" = running ] || fail "it is $after" ;;
            *) if [ $code = 0 ]; then
                   [ "$after" = $wanted ] || fail "said to be done, but it is $after"
               else
                   case $after in
                       "$before" | "$wanted" | created | exited) ;;
                       none) case $what in rm*) ;; create*) ;; *) fail "it is gone" ;; esac ;;
                       running) case $what in rm* | start*) ;; *) fail "it is running" ;; esac ;;
                       *) fail "it is $after" ;;
                   esac
               fi ;;
        esac
        [ "$(status stays)" = running ] || fail "the one beside it is $(status stays)"
        case $after in running) domains=2 ;; *) domains=1 ;; esac
        [ "$(xl list | awk 'NR > 1 && $2 != 0' | wc -l)" = $domains ] || fail "$(xl list)"
        [ "$(ls /var/lib/hyper/containers | wc -l)" = "$(hyper ps -aq | wc -l)" ] || fail "folders: $(ls /var/lib/hyper/containers)"
        echo "kill $kill"
    done
    hyper rm -f victim > /dev/null 2>&1
    true
}
"#;
