use super::*;
use engine::{Config, State};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
}

pub fn container(name: &str, status: Status, exit_code: i32) -> Container {
    let ran = status != Status::Created;
    Container {
        id: format!(
            "{:0<64}",
            name.bytes().map(|byte| format!("{byte:x}")).collect::<String>()
        ),
        name: name.to_owned(),
        created_at: at(name.len() as i64),
        image_id: "sha256:aa".to_owned(),
        config: Config {
            image: "busybox".to_owned(),
            entrypoint: vec!["/bin/sh".to_owned()],
            cmd: vec!["-c".to_owned(), "echo hi".to_owned()],
            labels: [("app".to_owned(), name.to_owned())].into(),
            ..Config::default()
        },
        state: State {
            status,
            exit_code,
            started_at: ran.then(|| at(100)),
            finished_at: (status == Status::Exited).then(|| at(160)),
            ..State::default()
        },
    }
}

fn names(selection: &Selection) -> Vec<String> {
    let containers = vec![
        container("web", Status::Running, 0),
        container("db-1", Status::Exited, 3),
        container("job", Status::Created, 0),
        container("pause", Status::Paused, 0),
    ];
    let chosen = selection.choose(containers).unwrap();
    chosen.into_iter().map(|container| container.name).collect()
}

fn filtered(all: bool, filters: &str) -> Vec<String> {
    names(&Selection {
        all,
        filters: Filters::parse(filters, FILTERS).unwrap(),
        ..Selection::default()
    })
}

#[test]
fn selections() {
    assert_eq!(filtered(false, "{}"), ["web", "pause"]);
    assert_eq!(filtered(true, "{}").len(), 4);
    assert_eq!(
        filtered(false, r#"{"status":["exited","created"]}"#),
        ["db-1", "job"]
    );
    assert_eq!(filtered(true, r#"{"exited":["3"]}"#), ["db-1"]);
    assert_eq!(filtered(true, r#"{"exited":["0"]}"#), Vec::<String>::new());
    assert_eq!(filtered(true, r#"{"name":["^/db"]}"#), ["db-1"]);
    assert_eq!(
        filtered(true, r#"{"name":["e","^job$"]}"#),
        ["web", "job", "pause"]
    );
    assert_eq!(filtered(true, r#"{"id":["776562"]}"#), ["web"]);
    assert_eq!(filtered(true, r#"{"label":["app=job"]}"#), ["job"]);
    assert_eq!(
        filtered(true, r#"{"label":["app","other"]}"#),
        Vec::<String>::new()
    );
    assert_eq!(filtered(true, r#"{"volume":["v"]}"#), Vec::<String>::new());
    assert_eq!(filtered(true, r#"{"health":["none"]}"#).len(), 4);
    let limited = Selection {
        limit: Some(2),
        ..Selection::default()
    };
    assert_eq!(names(&limited), ["web", "db-1"]);
    let between = Selection {
        all: true,
        before: Some(at(5)),
        since: Some(at(3)),
        ..Selection::default()
    };
    assert_eq!(names(&between), ["db-1"]);
    let of_image = Selection {
        all: true,
        ancestors: vec!["sha256:bb".to_owned()],
        ..Selection::default()
    };
    assert_eq!(names(&of_image), Vec::<String>::new());
}

#[test]
fn bad_values_are_refused() {
    for filters in [
        r#"{"status":["up"]}"#,
        r#"{"exited":["x"]}"#,
        r#"{"is-task":["maybe"]}"#,
    ] {
        let selection = Selection {
            filters: Filters::parse(filters, FILTERS).unwrap(),
            ..Selection::default()
        };
        assert!(
            selection
                .choose(Vec::new())
                .unwrap_err()
                .message
                .starts_with("invalid filter"),
            "{filters}"
        );
    }
}

#[test]
fn statuses_read_as_dockers() {
    let text = |status, code| status_text(&container("x", status, code), at(220));
    assert_eq!(text(Status::Running, 0), "Up 2 minutes");
    assert_eq!(text(Status::Paused, 0), "Up 2 minutes (Paused)");
    assert_eq!(text(Status::Exited, 137), "Exited (137) About a minute ago");
    assert_eq!(text(Status::Created, 0), "Created");
}

#[test]
fn an_entry_has_dockers_fields() {
    let entry = container_json(&container("web", Status::Running, 0), at(200), None);
    assert_eq!(entry["Names"], json!(["/web"]));
    assert_eq!(entry["Command"], "/bin/sh -c 'echo hi'");
    assert_eq!(entry["State"], "running");
    assert_eq!(entry["Created"], 1_000_003);
    assert_eq!(entry.get("SizeRw"), None);
    assert_eq!(entry["NetworkSettings"]["Networks"], json!({}));
}
