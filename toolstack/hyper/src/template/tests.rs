use proptest::prelude::*;
use serde_json::json;

use super::Template;

fn container() -> serde_json::Value {
    json!({
        "Name": "/web",
        "State": {"Status": "running", "ExitCode": 0, "Health": null},
        "Config": {
            "Env": ["A=b", "C=d"],
            "Labels": {"z": "1", "com.example.x": "2"},
            "Tty": false,
        },
        "Mounts": [],
    })
}

fn render(template: &str) -> String {
    match Template::parse(template).and_then(|parsed| parsed.render(&container())) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_print_as_in_go() {
    for (template, text) in [
        ("plain", "plain"),
        ("{{.State.Status}}/{{ .State.ExitCode }}", "running/0"),
        ("{{.Config.Env}}", "[A=b C=d]"),
        ("{{.Config.Labels}}", "map[com.example.x:2 z:1]"),
        ("{{.Config.Tty}} {{.State.Health}}", "false <nil>"),
        ("{{.Config.Labels.nope}}", "<no value>"),
        ("{{json .Config.Env}}", r#"["A=b","C=d"]"#),
        (
            "{{json .State}}",
            r#"{"Status":"running","ExitCode":0,"Health":null}"#,
        ),
        (r#"{{index .Config.Labels "com.example.x"}}"#, "2"),
        (r#"{{index .Config.Env 1}}"#, "C=d"),
        (r#"{{(index .Config.Env 0) | upper}}"#, "A=B"),
        ("{{len .Config.Env}}", "2"),
        ("{{/* nothing */}}x", "x"),
    ] {
        assert_eq!(render(template), text, "{template}");
    }
}

#[test]
fn control_flow() {
    for (template, text) in [
        ("{{if .Config.Tty}}a{{else if .Mounts}}b{{else}}c{{end}}", "c"),
        ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=b><C=d>"),
        (
            "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}",
            "com.example.x=2;z=1;",
        ),
        (
            "{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}",
            "A=b,C=d",
        ),
        ("{{range .Mounts}}x{{else}}none{{end}}", "none"),
        ("{{range .Config.Env}}{{else}}none{{end}}", ""),
        ("{{with .State}}{{.Status}} {{$.Name}}{{end}}", "running /web"),
        ("{{$x := 1}}{{if eq $x 1}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("a {{- 1 -}} b", "a1b"),
        ("{{ and 1 0 }} {{ or 0 \"x\" }} {{ not 1 }}", "0 x false"),
        (
            "{{if and (eq .State.Status \"running\") (lt .State.ExitCode 1)}}ok{{end}}",
            "ok",
        ),
        ("{{eq .State.Status \"a\" \"running\"}}", "true"),
    ] {
        assert_eq!(render(template), text, "{template}");
    }
}

#[test]
fn functions_of_docker() {
    for (template, text) in [
        (r#"{{join .Config.Env ", "}}"#, "A=b, C=d"),
        (r#"{{split "a,b" ","}}"#, "[a b]"),
        (r#"{{title "hello big world"}}"#, "Hello Big World"),
        (r#"{{truncate .Name 2}}"#, "/w"),
        (r#"{{pad "x" 1 2}}|"#, " x  |"),
        (
            r#"{{printf "%-6s|%03d|%q|%5.1f|%v" .State.Status 7 "a" 1.25 .Config.Env}}"#,
            "running|007|\"a\"|  1.2|[A=b C=d]",
        ),
        (r#"{{println "a" 1}}"#, "a 1\n"),
        (r#"{{print 1 2 "a"}}"#, "1 2a"),
        (r#"{{slice .Name 1}}"#, "web"),
        (r#"{{.Name | lower | printf "%s-%s" "x"}}"#, "x-/web"),
    ] {
        assert_eq!(render(template), text, "{template}");
    }
}

#[test]
fn errors_are_gos() {
    for (template, text) in [
        (
            "{{.Nope}}",
            r#"template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope""#,
        ),
        (
            "{{nope}}",
            r#"template parsing error: template: :1: function "nope" not defined"#,
        ),
        ("{{.Name", "template parsing error: template: :1: unclosed action"),
        (
            "{{if .Name}}x",
            "template parsing error: template: :1: unexpected EOF",
        ),
        (
            "{{end}}",
            "template parsing error: template: :1: unexpected {{end}}",
        ),
        (
            "{{$x}}",
            r#"template parsing error: template: :1: undefined variable "$x""#,
        ),
    ] {
        assert_eq!(render(template), text, "{template}");
    }
}

#[test]
fn label_is_a_method_of_a_row() {
    let labels = json!({"a.b": "c"});
    let template = Template::parse(r#"{{.Label "a.b"}}|{{.Label "x"}}"#).unwrap();
    let text = template
        .render_row(&json!({}), labels.as_object().unwrap())
        .unwrap();
    assert_eq!(text, "c|");
}

proptest! {
    #[test]
    fn no_template_panics(text in r#"([{}().|$ a-zA-Z0-9",:=%-]|\{\{|\}\}|if |end|range |printf ){0,30}"#) {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&container());
        }
    }

    #[test]
    fn text_without_actions_is_itself(text in "[^{}]{0,40}") {
        prop_assert_eq!(render(&text), text);
    }
}
