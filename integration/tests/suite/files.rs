//! Files in and out of containers, whether they run or not, and images made of them.

use super::support::{BUSYBOX, DEBIAN, Dom0, Ran, Test, pv};

pub const TESTS: &[Test] = &[
    pv("files::copy", copy).offline(),
    pv("files::copy_rules", copy_rules).offline(),
    pv("files::copy_stopped", copy_stopped).offline(),
    pv("files::diff_export", diff_export).offline(),
    pv("files::commit", commit).offline(),
    pv("files::commit_faults", commit_faults).offline(),
];

const PV: &str = "--annotation=hyper.type=pv";

#[track_caller]
fn docker(dom0: &Dom0<'_>, script: &str) -> Ran {
    dom0.sh(&format!(
        "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
    ))
}

/// What is copied in and out again is the same, by `hyper` and `docker`, as files and as tars.
fn copy(dom0: &Dom0<'_>) {
    dom0.detached("box", &["--tmpfs", "/own", BUSYBOX, "sleep", "1000000"]);
    let (file, sum) = dom0.random_file(3);
    dom0.hyper(&["cp", &file, "box:/root/data"])
        .ok()
        .stdout("")
        .stderr("");
    dom0.exec("box", &["sh", "-c", "sha256sum < /root/data"])
        .ok()
        .stdout(&format!("{sum}\n"));
    dom0.sh("rm -rf /var/tmp/cp; mkdir -p /var/tmp/cp/tree/sub; cd /var/tmp/cp
        hyper cp box:/root/data back && docker -H unix:///run/hyper/hyperd.sock cp box:/root/data back2 && sha256sum < back && cmp back back2")
        .ok()
        .stdout(&format!("{sum}\n"));
    // A tree, with what trees have.
    dom0.sh("cd /var/tmp/cp/tree && echo content > sub/file && chmod 640 sub/file && chown 33:44 sub/file
        ln sub/file hard; ln -s sub/file soft; ln -s /nowhere dangling; mkfifo fifo; mkdir empty; chmod 1777 empty
        touch -d '2020-02-02 02:02:02.5 UTC' sub/file sub; truncate -s 300k sparse; echo x > $(printf 'l%.0s' $(seq 150)); echo odd > $'odd-\\xff'")
        .ok();
    let list = "find . | sort | while read -r f; do stat -c '%n %A %u %g %s %Y' \"$f\"; done | grep -v ' d.* [0-9]*$' ; find . -type d | sort | xargs stat -c '%n %A'; cat sub/file; readlink soft; readlink dangling; stat -c %h hard";
    let ours = dom0.sh(&format!("cd /var/tmp/cp/tree; {list}")).ok().text();
    for (copy, path) in [
        ("hyper cp tree box:/root/one", "/root/one"),
        (
            "docker -H unix:///run/hyper/hyperd.sock cp tree box:/root/two",
            "/root/two",
        ),
        ("mkdir -p up; tar -c tree | hyper cp - box:/own", "/own/tree"),
        ("tar -cz tree | hyper cp - box:/root", "/root/tree"),
    ] {
        dom0.sh(&format!("cd /var/tmp/cp; {copy}")).ok();
        let theirs = dom0.exec("box", &["sh", "-c", &format!("cd {path}; {list}")]);
        assert_eq!(theirs.ok().text(), ours, "{copy}");
    }
    for copy in [
        "hyper cp box:/root/one out",
        "docker -H unix:///run/hyper/hyperd.sock cp box:/root/one out",
        "mkdir out; hyper cp box:/root/one - | tar -C out -x --strip-components=1",
        "hyper cp box:/own/tree out",
    ] {
        let theirs = dom0.sh(&format!("cd /var/tmp/cp; rm -rf out; {copy} && cd out && {list}"));
        // What comes out belongs to whoever copies it, unless tar unpacks it.
        let owned = |text: &str| text.replace(" 33 44 ", " 0 0 ");
        assert_eq!(owned(&theirs.ok().text()), owned(&ours), "{copy}");
    }
    dom0.remove("box");
    dom0.sh("rm -rf /var/tmp/cp").ok();
}

/// Docker's rules, errors, and the confinement of what either side says.
fn copy_rules(dom0: &Dom0<'_>) {
    dom0.detached("box", &["-u", "app", BUSYBOX, "sleep", "1000000"]);
    let root = |script: &str| dom0.hyper(&["exec", "-u", "0", "box", "sh", "-c", script]);
    root("mkdir -p /d/sub; echo f > /d/f; ln -s d /link; ln -s d/f /flink; ln -s ../../../../../.. /d/up; ln -s /var/tmp /d/abs").ok();
    dom0.sh("rm -rf /var/tmp/cp; mkdir -p /var/tmp/cp/t/in; cd /var/tmp/cp; echo x > f; echo y > t/in/g; ln -s f l; mkdir there")
        .ok();
    for (copy, check, expected) in [
        ("cp f box:/d", "cat /d/f", "x"),
        ("cp f box:/d/new", "cat /d/new", "x"),
        ("cp t box:/d", "cat /d/t/in/g", "y"),
        ("cp t box:/d/t2", "cat /d/t2/in/g", "y"),
        ("cp t/. box:/d/sub", "cat /d/sub/in/g", "y"),
        ("cp t/. box:/d/t3", "cat /d/t3/in/g", "y"),
        ("cp f box:/link", "cat /d/f", "x"),
        (
            "cp f box:/flink",
            "stat -c %F /flink; cat /d/f",
            "symbolic link\nx",
        ),
        ("cp l box:/d/l", "readlink /d/l", "f"),
        ("cp -L l box:/d/l2", "cat /d/l2", "x"),
        ("cp -a f box:/d/mine", "stat -c %U /d/mine", "app"),
        ("cp f box:/d/root", "stat -c %U /d/root", "root"),
        // Links of the container lead where they do for it.
        ("cp f box:/d/up/escaped", "cat /escaped", "x"),
        ("cp f box:/d/abs/escaped", "cat /var/tmp/escaped", "x"),
    ] {
        root("mkdir -p /var/tmp; echo f > /d/f").ok();
        dom0.sh(&format!("cd /var/tmp/cp; hyper {copy}")).ok();
        assert_eq!(root(check).ok().text(), expected, "{copy}");
    }
    dom0.sh("ls -d /escaped /var/tmp/escaped").code(2);
    root("echo x > /d/f").ok();
    for (copy, check, expected) in [
        ("cp box:/d/f there", "cat there/f", "x"),
        ("cp box:/d/f renamed", "cat renamed", "x"),
        ("cp box:/d there", "cat there/d/f", "x"),
        ("cp box:/d fresh", "cat fresh/f", "x"),
        ("cp box:/d/. there", "cat there/t/in/g", "y"),
        ("cp box:/d/t/ dirslash", "cat dirslash/in/g", "y"),
        ("cp box:/link alink", "readlink alink", "d"),
        ("cp -L box:/link followed", "cat followed/f", "x"),
        ("cp -L box:/flink there", "cat there/flink", "x"),
        ("cp box:d/f relative", "cat relative", "x"),
        ("cp box:/d/up outlink", "readlink outlink", "../../../../../.."),
    ] {
        let ran = dom0.sh(&format!("cd /var/tmp/cp; hyper {copy} && {check}"));
        assert_eq!(ran.ok().text(), expected, "{copy}");
    }
    for (copy, error) in [
        ("cp box:/none .", "Could not find the file /none in container box"),
        ("cp nobody:/x .", "No such container: nobody"),
        ("cp none box:/", "cannot copy"),
        (
            "cp f box:/none/x",
            "Could not find the file /none in container box",
        ),
        ("cp f box:/d/newdir/", "no such directory"),
        ("cp t box:/d/f", "cannot copy directory"),
        ("cp box:/d renamed", "cannot copy directory"),
        ("cp box:/d/f none/x", "does not exist"),
        ("cp box:/d box:/e", "copying between containers is not supported"),
        ("cp a b", "must specify at least one container source"),
        ("cp - box:/d/f < /dev/null", "must be a directory"),
        ("cp f box:/dev/null", "must be a directory or a regular file"),
    ] {
        dom0.sh(&format!("cd /var/tmp/cp; hyper {copy}"))
            .code(1)
            .err_has(error);
    }
    // A directory is not replaced by a file, nor a file by a directory.
    dom0.sh("cd /var/tmp/cp; mkdir -p k; echo x > k/sub; tar -C k -c sub | hyper cp - box:/d")
        .code(1)
        .err_has("cannot overwrite directory");
    // A tar that wants out stays in, or is refused.
    dom0.sh("cd /var/tmp/cp; tar -P -c --transform='s|.*|../../../evil|' f | hyper cp - box:/d")
        .code(1)
        .err_has("outside");
    dom0.sh("ls -d /evil").code(2);
    root("ls /evil").code(1);
    dom0.sh("echo no tar at all, but long enough to be one | hyper cp - box:/d")
        .code(1);
    dom0.sh("cd /var/tmp/cp; truncate -s 1M holes; tar --format=pax -S -c holes | hyper cp - box:/d")
        .code(1)
        .err_has("sparse");
    dom0.sh("cd /var/tmp/cp; tar -S -c holes | hyper cp - box:/d")
        .ok();
    root("stat -c %s /d/holes").ok().stdout("1048576\n");
    // A tree that wants out, too: its links are in the way of what comes after them.
    root("mkdir -p /bad && ln -s /var/tmp/cp/there /bad/x").ok();
    dom0.sh("cd /var/tmp/cp; hyper cp box:/bad bad && readlink bad/x")
        .ok()
        .stdout("/var/tmp/cp/there\n");
    dom0.hyper(&["pause", "box"]).ok();
    dom0.hyper(&["cp", "box:/d", "-"]).code(1).err_has("paused");
    dom0.hyper(&["unpause", "box"]).ok();
    dom0.remove("box");
    dom0.detached(
        "sealed",
        &["--read-only", "--tmpfs", "/t", BUSYBOX, "sleep", "1000000"],
    );
    dom0.sh("cd /var/tmp/cp; hyper cp f sealed:/x")
        .code(1)
        .err_has("container rootfs is marked read-only");
    dom0.sh("cd /var/tmp/cp; hyper cp f sealed:/t/x && hyper exec sealed cat /t/x")
        .ok()
        .stdout("x\n");
    dom0.remove("sealed");
    dom0.sh("rm -rf /var/tmp/cp").ok();
}

/// Without a process: by a guest of its own, of which nothing is left.
fn copy_stopped(dom0: &Dom0<'_>) {
    let (file, sum) = dom0.random_file(1);
    dom0.hyper(&[
        "create",
        "--name",
        "box",
        BUSYBOX,
        "sh",
        "-c",
        "sha256sum < /root/data; echo out > /made",
    ])
    .ok();
    dom0.hyper(&["cp", &file, "box:/root/data"]).ok();
    // It waits until the guest for the files is gone.
    dom0.hyper(&["start", "-a", "box"])
        .ok()
        .stdout(&format!("{sum}\n"));
    // Two at a time share a guest; both are served.
    dom0.sh("cd /var/tmp; hyper cp box:/made made1 & hyper cp box:/root/data data1 && wait $! && cat made1; sha256sum < data1; rm made1 data1")
        .ok()
        .stdout(&format!("out\n{sum}\n"));
    dom0.hyper(&["cp", "box:/none", "-"])
        .code(1)
        .err_has("Could not find the file /none");
    assert_eq!(dom0.inspect("box", "{{.State.Status}}"), "exited");
    dom0.sh(&format!(
        "DOCKER_HOST=unix:///run/hyper/hyperd.sock docker cp {file} box:/second"
    ))
    .ok();
    dom0.hyper(&["diff", "box"])
        .ok()
        .out_has("A /second")
        .out_has("A /made\n");
    dom0.hyper(&["rm", "box"]).ok();
    // One that is removed meanwhile, and a hyperd that is killed meanwhile.
    dom0.hyper(&["create", "--name", "gone", BUSYBOX, "true"]).ok();
    let mut copying = dom0.spawn(&["cp", "gone:/etc", "-"]);
    copying.end_of_input();
    let until = "until xl domid gone 2>/dev/null; do xenstore-watch -n 2 @introduceDomain >/dev/null; done";
    dom0.sh(until).ok();
    dom0.hyper(&["rm", "-f", "gone"]).ok();
    copying.finish().code(1);
    dom0.hyper(&["create", "--name", "gone", BUSYBOX, "true"]).ok();
    let mut copying = dom0.spawn(&["cp", "gone:/etc", "-"]);
    copying.end_of_input();
    dom0.sh(until).ok();
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    copying.finish().code(1);
    dom0.sh("xl domid gone").code(1);
    dom0.hyper(&["start", "-a", "gone"]).ok();
    dom0.hyper(&["rm", "gone"]).ok();
}

const CHANGES: &str = "rm /etc/motd; chmod 700 /etc/group; mkdir -p /new/dir; echo x > /new/dir/file; echo x > /root/f; touch /bin";

fn diff_export(dom0: &Dom0<'_>) {
    dom0.idle("box", BUSYBOX);
    dom0.hyper(&["diff", "box"]).ok().stdout("");
    dom0.exec("box", &["sh", "-c", CHANGES]).ok();
    let expected =
        "C /etc\nC /etc/group\nD /etc/motd\nA /new\nA /new/dir\nA /new/dir/file\nC /root\nA /root/f\n";
    dom0.hyper(&["diff", "box"]).ok().stdout(expected);
    docker(dom0, "docker diff box").ok().stdout(expected);
    let listed = "hyper export box | tar -t | sort > /var/tmp/running; docker -H unix:///run/hyper/hyperd.sock export box | tar -t | sort | cmp - /var/tmp/running";
    dom0.sh(listed).ok();
    dom0.sh("cat /var/tmp/running")
        .ok()
        .out_has("new/dir/file\n")
        .out_has("etc/passwd\n")
        .out_lacks("etc/motd")
        .out_lacks("proc/1");
    dom0.sh("hyper export box -o /var/tmp/box.tar && tar -C /var/tmp -xf /var/tmp/box.tar new/dir/file && cat /var/tmp/new/dir/file; rm -rf /var/tmp/new")
        .ok()
        .stdout("x\n");
    dom0.sh("hyper import - exported:1 < /var/tmp/box.tar").ok();
    dom0.hyper(&[
        "run",
        "--rm",
        "exported:1",
        "sh",
        "-c",
        "cat /new/dir/file; ls /etc/motd",
    ])
    .code(1)
    .stdout("x\n");
    dom0.hyper(&["rmi", "exported:1"]).ok();
    dom0.hyper(&["stop", "-t", "0", "box"]).ok();
    dom0.hyper(&["diff", "box"]).ok().stdout(expected);
    dom0.sh(
        "hyper export box | tar -t | sort | cmp - /var/tmp/running; rm /var/tmp/running /var/tmp/box.tar",
    )
    .ok();
    dom0.hyper(&["rm", "box"]).ok();
    dom0.hyper(&["diff", "box"])
        .code(1)
        .err_has("No such container: box");
}

/// All that a layer can hold.
const WRITE: &str = r#"set -e
rm /etc/issue
rm -rf /etc/skel; mkdir /etc/skel; echo own > /etc/skel/own
mkdir -p /made/sub; echo one > /made/one; ln /made/one /made/sub/hard; ln -s one /made/soft; mkfifo /made/fifo
chmod 4755 /made/one; chown 33:44 /made/sub; mknod /made/node c 1 3
head -c 3000000 /dev/urandom > /made/big; truncate -s 700k /made/sparse; echo odd > $'/made/odd-\xff'
echo long > /made/$(printf 'l%.0s' $(seq 200)); touch -d '2020-02-02 02:02:02.123456789 UTC' /made/big
setfattr -n user.mine -v value /made/one
mv /odd/setcap /made/setcap"#;

/// What has changed, and what has not.
const TREE: &str = r#"for top in /etc /made /odd /var; do /tmp/tree $top | sed "s|^|$top|"; done"#;

fn commit(dom0: &Dom0<'_>) {
    dom0.detached(
        "box",
        &[
            "--tmpfs",
            "/tmp:exec",
            "-e",
            "KEPT=yes",
            "--health-cmd",
            "true",
            "--health-interval",
            "1h",
            DEBIAN,
            "sleep",
            "1000000",
        ],
    );
    dom0.exec("box", &["bash", "-c", WRITE]).ok();
    let id = dom0
        .hyper(&[
            "commit",
            "-m",
            "by hand",
            "-a",
            "me",
            "-c",
            "CMD [\"cat\", \"/etc/skel/own\"]",
            "-c",
            "ENV A=\"b c\" D=$KEPT",
            "-c",
            "LABEL one=two",
            "box",
            "made:1",
        ])
        .ok()
        .text();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    dom0.exec("box", &["echo", "goes on"]).ok().stdout("goes on\n");
    assert_eq!(
        dom0.inspect("made:1", "{{.Id}} {{.Author}} {{.Comment}}"),
        format!("{id} me by hand")
    );
    assert_eq!(
        dom0.inspect("made:1", "{{json .Config.Healthcheck}}"),
        dom0.inspect("box", "{{json .Config.Healthcheck}}")
    );
    assert_eq!(
        dom0.inspect("made:1", "{{json .Config.Healthcheck.Test}}"),
        r#"["CMD-SHELL","true"]"#
    );
    dom0.hyper(&["history", "made:1"]).ok().out_has("by hand");
    dom0.hyper(&["run", "--rm", "made:1"]).ok().stdout("own\n");
    dom0.hyper(&["run", "--rm", "made:1", "sh", "-c", "echo $A.$D.$KEPT"])
        .ok()
        .stdout("b c.yes.yes\n");
    let tree = |name: &str| {
        dom0.sh(&format!("hyper cp /usr/lib/hyper-tests/tree {name}:/tmp/tree"))
            .ok();
        let listed = dom0.exec(name, &["sh", "-c", TREE]).ok().text();
        let lines = listed.lines().filter(|line| {
            let path = line.split(' ').next().unwrap_or_default();
            !["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&path)
        });
        // Files are bound over others in it.
        let line = |line: &str| match line.split(' ').next() {
            Some("/etc/") => line
                .split(' ')
                .filter(|word| !word.starts_with("mtime"))
                .collect::<Vec<_>>()
                .join(" "),
            _ => line.to_owned(),
        };
        lines.map(line).collect::<Vec<_>>()
    };
    let same = |name: &str, image: &str, expected: &[String]| {
        dom0.hyper(&[
            "run",
            "-d",
            "--name",
            name,
            "--tmpfs",
            "/tmp:exec",
            image,
            "sleep",
            "1000000",
        ])
        .ok();
        let found = tree(name);
        let differ: Vec<_> = found
            .iter()
            .filter(|line| !expected.contains(line))
            .chain(expected.iter().filter(|line| !found.contains(line)))
            .take(20)
            .collect();
        assert!(differ.is_empty() && found.len() > 100, "{image}: {differ:#?}");
        dom0.remove(name);
    };
    let original = tree("box");
    // By way of a registry, and by a container that does not run.
    dom0.hyper(&["tag", "made:1", "localhost:5000/made:1"]).ok();
    dom0.hyper(&["push", "localhost:5000/made:1"]).ok();
    dom0.hyper(&["rmi", "made:1", "localhost:5000/made:1"])
        .ok()
        .out_has("Deleted");
    dom0.hyper(&["pull", "-q", "localhost:5000/made:1"]).ok();
    assert_eq!(dom0.inspect("localhost:5000/made:1", "{{.Id}}"), id);
    same("copy", "localhost:5000/made:1", &original);
    dom0.hyper(&["stop", "-t", "0", "box"]).ok();
    docker(dom0, "docker commit -c 'USER nobody' box made:2")
        .ok()
        .out_has("sha256:");
    dom0.hyper(&["run", "--rm", "made:2", "id", "-un"])
        .ok()
        .stdout("nobody\n");
    // A layer over a committed one; and nothing makes none.
    dom0.hyper(&["create", "--name", "unchanged", "made:2", "true"])
        .ok();
    dom0.hyper(&["commit", "unchanged", "made:3"]).ok();
    let layers = |image: &str| dom0.inspect(image, "{{len .RootFS.Layers}}");
    assert_eq!(layers("made:3"), layers("made:2"));
    dom0.hyper(&["commit", "-c", "RUN x", "unchanged"])
        .code(1)
        .err_has("RUN is not a valid change command");
    dom0.hyper(&["commit", "nobody"])
        .code(1)
        .err_has("No such container: nobody");
    dom0.hyper(&["rm", "unchanged", "box"]).ok();
    dom0.hyper(&["rmi", "made:3", "made:2", "localhost:5000/made:1"])
        .ok();
    dom0.hyper(&["image", "verify"]).ok();
    docker(dom0, &format!("docker run -d --name own {PV} {BUSYBOX} sleep 1000 && docker exec own touch /x && docker commit own own:1"))
        .ok();
    dom0.hyper(&["run", "--rm", "own:1", "ls", "/x"])
        .ok()
        .stdout("/x\n");
    dom0.remove("own");
    dom0.hyper(&["rmi", "own:1"]).ok();
}

/// Whatever ends it, nothing half is in the store, and the container is as it was.
fn commit_faults(dom0: &Dom0<'_>) {
    dom0.idle("box", BUSYBOX);
    dom0.exec("box", &["sh", "-c", "head -c 20000000 /dev/urandom > /big"])
        .ok();
    let layers = || dom0.sh("ls /var/lib/hyper/images/layers").ok().text();
    let before = layers();
    let unharmed = |what: &str| {
        assert_eq!(layers(), before, "{what}");
        dom0.hyper(&["inspect", "half:1"]).code(1);
        dom0.hyper(&["image", "verify"]).ok();
        dom0.exec("box", &["echo", "not frozen"])
            .ok()
            .stdout("not frozen\n");
    };
    // The client goes, and hyperd.
    dom0.sh("hyper commit box half:1 & client=$!; hyper version >/dev/null; kill -9 $client; wait $client || true").ok();
    unharmed("the client is killed");
    dom0.sh("hyper commit box half:1 & hyper version > /dev/null; systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd; wait $! || true")
        .ok();
    unharmed("hyperd is killed");
    // Jobs of a hyperd that is gone are gone, too.
    dom0.hyper(&["diff", "box"]).ok().stdout("A /big\n");
    // The guest of a container that does not run.
    dom0.hyper(&["create", "--name", "still", BUSYBOX, "true"]).ok();
    let mut committing = dom0.spawn(&["commit", "still", "half:1"]);
    committing.end_of_input();
    dom0.sh("until xl domid still 2>/dev/null; do xenstore-watch -n 2 @introduceDomain >/dev/null; done; xl destroy still")
        .ok();
    committing.finish().code(1);
    unharmed("its guest is destroyed");
    dom0.hyper(&["rm", "still"]).ok();
    // Then it works.
    dom0.hyper(&["commit", "box", "whole:1"]).ok();
    dom0.hyper(&["run", "--rm", "whole:1", "stat", "-c", "%s", "/big"])
        .ok()
        .stdout("20000000\n");
    dom0.remove("box");
    dom0.hyper(&["rmi", "whole:1"]).ok();
}
