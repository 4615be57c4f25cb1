//! `-it` on a real terminal.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("tty::shell", shell).offline(),
    pv("tty::detach", detach).offline(),
    pv("tty::exec", exec).offline(),
];

/// What the shell prints is not in what is typed, so that an echo is not taken for an answer.
fn shell(dom0: &Dom0<'_>) {
    let mut terminal = dom0.terminal(&["run", "-it", "--rm", BUSYBOX, "sh"]);
    terminal.expect("# ");
    terminal
        .send("tty; echo size=$(stty size)=\n")
        .expect("/dev/pts/")
        .expect("size=24 80=");
    // The resize is told to the process in front, which prints it then.
    terminal
        .send("(trap 'echo now=$(stty size)=; exit' WINCH; sleep 1000 & echo wait''ing; wait)\n")
        .expect("waiting\r\n")
        .resize(40, 132)
        .expect("now=40 132=");
    // Ctrl-C reaches what runs (it says itself that it does), and the shell goes on.
    terminal
        .send("sh -c 'echo be\"\"gin; exec sleep 1000000'\n")
        .expect("begin\r\n")
        .send("\x03")
        .expect("# ")
        .send("echo code=$?=\n")
        .expect("code=130=");
    // Ctrl-D ends a reader's input. It says that it reads: the shell's own editing would take what comes before.
    terminal
        .send("sh -c 'echo read\"\"ing; exec cat'; echo cat=$?=\n")
        .expect("reading\r\n")
        .send("typed\n")
        .expect("typed\r\ntyped\r\n");
    terminal.send("\x04").expect("cat=0=");
    terminal.send("exit 7\n").code(7);
}

fn detach(dom0: &Dom0<'_>) {
    let mut terminal = dom0.terminal(&["run", "-it", "--name", "kept", BUSYBOX, "sh"]);
    terminal
        .expect("# ")
        .send("echo be''fore; X=kept\n")
        .expect("before\r\n")
        .expect("# ");
    terminal.send("\x10\x11").code(0);
    assert_eq!(dom0.inspect("kept", "{{.State.Status}}"), "running");

    let mut again = dom0.terminal(&["attach", "--detach-keys", "ctrl-x,y", "kept"]);
    again.send("echo again=$X=\n").expect("again=kept=");
    // The usual keys are the shell's now, and so is half of the new ones.
    again.send("\x10\x11").send("echo st''ill\n").expect("still\r\n");
    again.send("\x18y").code(0);

    let mut last = dom0.terminal(&["attach", "kept"]);
    last.send("exit 5\n").code(5);
    assert_eq!(dom0.inspect("kept", "{{.State.ExitCode}}"), "5");
    dom0.remove("kept");
}

fn exec(dom0: &Dom0<'_>) {
    dom0.idle("box", BUSYBOX);
    let mut terminal = dom0.terminal(&["exec", "-it", "-u", "app", "box", "sh"]);
    terminal
        .expect("$ ")
        .send("id -un; stty size; echo $TERM\n")
        .expect("app\r\n")
        .expect("24 80\r\n")
        .expect("xterm");
    terminal.send("exit 9\n").code(9);
    // A process that is not on a terminal has pipes, whatever the client has.
    let mut plain = dom0.terminal(&["exec", "box", "sh", "-c", "[ -t 1 ] || echo no terminal"]);
    plain.expect("no terminal").code(0);
    // -t where the client has none is docker's error.
    dom0.hyper(&["exec", "-it", "box", "sh"])
        .code(1)
        .one_error("not a TTY");
    dom0.remove("box");
}
