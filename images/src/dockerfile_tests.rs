use super::*;
use proptest::prelude::*;

fn changed_from(config: Value, changes: &[&str]) -> Result<Value, String> {
    let Value::Object(mut config) = config else {
        panic!("an object")
    };
    let changes: Vec<_> = changes.iter().map(|&change| change.to_owned()).collect();
    change(&mut config, &changes, |signal| signal == "SIGUSR1")
        .map(|()| config.into())
        .map_err(|error| error.to_string())
}

fn changed(changes: &[&str]) -> Result<Value, String> {
    changed_from(json!({}), changes)
}

#[test]
fn each_instruction_does_what_it_does_in_a_dockerfile() {
    for (text, key, expected) in [
        ("CMD echo  hi ", "Cmd", json!(["/bin/sh", "-c", "echo  hi"])),
        (r#"cmd ["a", "b c"]"#, "Cmd", json!(["a", "b c"])),
        ("CMD []", "Cmd", json!([])),
        (r#"CMD ["a", b]"#, "Cmd", json!(["/bin/sh", "-c", r#"["a", b]"#])),
        (
            "ENTRYPOINT top -b",
            "Entrypoint",
            json!(["/bin/sh", "-c", "top -b"]),
        ),
        ("ENTRYPOINT []", "Entrypoint", json!(null)),
        (
            "ENV a=1 b='x y' c=\"$z\" d=x\\ y",
            "Env",
            json!(["a=1", "b=x y", "c=", "d=x y"]),
        ),
        ("ENV a  b c", "Env", json!(["a=b c"])),
        ("ENV a=b=c", "Env", json!(["a=b=c"])),
        (
            "EXPOSE 80 53/UDP 8000-8002 1:2",
            "ExposedPorts",
            json!({"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}, "2/tcp": {}}),
        ),
        (
            "LABEL a.b=c \"d e\"=\"f g\"",
            "Labels",
            json!({"a.b": "c", "d e": "f g"}),
        ),
        ("ONBUILD  RUN make", "OnBuild", json!(["RUN make"])),
        ("STOPSIGNAL SIGUSR1", "StopSignal", json!("SIGUSR1")),
        ("USER 1:2", "User", json!("1:2")),
        ("VOLUME /a /b", "Volumes", json!({"/a": {}, "/b": {}})),
        (r#"VOLUME ["/a b"]"#, "Volumes", json!({"/a b": {}})),
        ("WORKDIR /a/", "WorkingDir", json!("/a/")),
        ("WORKDIR b/../c", "WorkingDir", json!("/c")),
        ("HEALTHCHECK NONE", "Healthcheck", json!({"Test": ["NONE"]})),
        (
            "HEALTHCHECK --interval=1m30s --timeout=0.5s --retries=3 CMD curl x",
            "Healthcheck",
            json!({"Test": ["CMD-SHELL", "curl x"], "Interval": 90_000_000_000_i64, "Timeout": 500_000_000,
                "Retries": 3}),
        ),
        (
            r#"HEALTHCHECK --start-period=2s cmd ["a", "b"]"#,
            "Healthcheck",
            json!({"Test": ["CMD", "a", "b"], "StartPeriod": 2_000_000_000}),
        ),
    ] {
        assert_eq!(changed(&[text]).unwrap()[key], expected, "{text}");
    }
}

#[test]
fn what_is_there_is_kept_or_replaced() {
    let config = json!({ "Env": ["PATH=/bin", "A=1"], "Cmd": ["old"], "Labels": null, "WorkingDir": "/w",
        "ExposedPorts": {"1/tcp": {}}, "Shell": ["/bin/bash", "-c"], "Custom": 7 });
    let changes = [
        "ENV A=2 B=${A}x",
        "ENV C=$A$B",
        "WORKDIR $C/d",
        "LABEL x=y",
        "EXPOSE 2",
        "ENTRYPOINT e",
    ];
    let found = changed_from(config.clone(), &changes).unwrap();
    assert_eq!(
        found,
        json!({ "Env": ["PATH=/bin", "A=2", "B=1x", "C=21x"], "Cmd": null, "Labels": {"x": "y"},
            "WorkingDir": "/w/21x/d", "ExposedPorts": {"1/tcp": {}, "2/tcp": {}}, "Shell": ["/bin/bash", "-c"],
            "Custom": 7, "Entrypoint": ["/bin/bash", "-c", "e"] })
    );
    // A command of the changes stays.
    let found = changed_from(config, &["CMD [\"c\"]", "ENTRYPOINT [\"e\"]"]).unwrap();
    assert_eq!(found["Cmd"], json!(["c"]));
}

#[test]
fn lines_are_put_together() {
    let text = "# escape=`\n# a comment\n\n  ENV a=1 `\n   # another\n\n   b=x`y\nLABEL c=d";
    let found = changed(&[text]).unwrap();
    assert_eq!(found, json!({ "Env": ["a=1", "b=xy"], "Labels": {"c": "d"} }));
    assert_eq!(changed(&["CMD a \\", " b"]).unwrap()["Cmd"][2], "a  b");
}

#[test]
fn variables_are_those_of_a_shell() {
    let env = json!({ "Env": ["A=x", "E=", "P=80 443/udp"] });
    for (word, expected) in [
        ("$A", "x"),
        ("${A}y", "xy"),
        ("$Ay", ""),
        ("'$A'", "$A"),
        ("\\$A", "$A"),
        ("\"\\$A \\n $A\"", "$A \\n x"),
        ("${N:-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${A:+d}", "d"),
        ("${N:+d}", ""),
        ("${N:-${A:-z}}", "x"),
        ("a$", "a$"),
        ("$1x", "x"),
    ] {
        let found = changed_from(env.clone(), &[&format!("LABEL l={word}")]).unwrap();
        assert_eq!(found["Labels"]["l"], expected, "{word}");
    }
    let found = changed_from(env, &["EXPOSE $P"]).unwrap();
    assert_eq!(found["ExposedPorts"], json!({"80/tcp": {}, "443/udp": {}}));
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    for (text, why) in [
        ("RUN make", "RUN is not a valid change command"),
        ("from x", "from is not a valid change command"),
        ("", "file with no instructions"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        (
            "ENV a=1 b",
            "Syntax error - can't find = in \"b\". Must be of the form: name=value",
        ),
        ("ENV =1", "ENV names can not be blank"),
        ("ENV --x=1 a=b", "unknown flag: --x"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL nope", "invalid signal: nope"),
        ("EXPOSE 0x1", "invalid containerPort: 0x1"),
        ("EXPOSE 1/icmp", "invalid proto: icmp"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        (
            "CMD [1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        (
            "ONBUILD ONBUILD RUN x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        (
            "HEALTHCHECK HTTP /",
            "Unknown type \"HTTP\" in HEALTHCHECK (try CMD)",
        ),
        (
            "HEALTHCHECK --interval=1us CMD x",
            "Interval \"interval\" cannot be less than 1ms",
        ),
        ("HEALTHCHECK --interval=1 CMD x", "time: invalid duration \"1\""),
        (
            "HEALTHCHECK --retries=-1 CMD x",
            "--retries cannot be negative (-1)",
        ),
        (
            "HEALTHCHECK --retries CMD x",
            "missing a value on flag: --retries",
        ),
        (
            "LABEL a=${b",
            "failed to process \"${b\": unsupported modifier () in substitution",
        ),
        ("LABEL a=${b?gone}", "failed to process \"${b?gone}\": b: gone"),
        (
            "LABEL a=${}",
            "failed to process \"${}\": syntax error: bad substitution",
        ),
        ("WORKDIR \"\"", "cannot normalize nothing"),
    ] {
        assert_eq!(changed(&[text]).unwrap_err(), why, "{text}");
    }
    let doubling = format!("ENV a={}\n{}", "x".repeat(1000), "ENV a=$a$a$a$a\n".repeat(12));
    assert!(changed(&[&doubling]).unwrap_err().contains("limit"));
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "(?s)((ENV|LABEL|CMD|HEALTHCHECK|EXPOSE|VOLUME|ONBUILD|#|WORKDIR) ?[a$\\\\{}:=\"' \n\\[\\],0-9/`-]{0,20}\n?){0,4}") {
        let _ = changed(&[&text]);
    }

    #[test]
    fn quoted_values_come_out_whole(value in "[ -~]{0,30}") {
        let quoted = format!("'{}'", value.replace('\'', r#"'"'"'"#));
        let found = changed(&[&format!("LABEL l={quoted}")]).unwrap();
        prop_assert_eq!(found["Labels"]["l"].as_str(), Some(value.as_str()));
    }
}
