use super::*;
use proptest::prelude::*;

fn get(path: &str) -> Route {
    route(&Method::GET, path)
}

fn post(path: &str) -> Route {
    route(&Method::POST, path)
}

#[test]
fn versions() {
    assert_eq!(split_version("/v1.24/info").unwrap(), (24, "/info"));
    assert_eq!(split_version("/v1.51/a/b").unwrap(), (51, "/a/b"));
    assert_eq!(split_version("/info").unwrap(), (51, "/info"));
    assert_eq!(split_version("/volumes").unwrap(), (51, "/volumes"));
    assert_eq!(split_version("/version").unwrap(), (51, "/version"));
    assert_eq!(
        split_version("/v1.99/info").unwrap_err().message,
        "client version 1.99 is too new. Maximum supported API version is 1.51"
    );
    assert_eq!(
        split_version("/v1.23/info").unwrap_err().message,
        "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    );
    assert_eq!(split_version("/v2.0/info").unwrap_err().status.as_u16(), 400);
    assert_eq!(split_version("/v1.x/info").unwrap(), (51, "/v1.x/info"));
    assert!(split_version("/v1.2.3/info").is_err());
}

#[test]
fn image_names_contain_slashes() {
    let image = |to, name: &str| Route::Image(to, name.to_owned());
    assert_eq!(get("/images/busybox/json"), image(ImageRoute::Inspect, "busybox"));
    assert_eq!(
        get("/images/a:5000/b/c:1/json"),
        image(ImageRoute::Inspect, "a:5000/b/c:1")
    );
    assert_eq!(get("/images/a%2Fb%3A1/json"), image(ImageRoute::Inspect, "a/b:1"));
    assert_eq!(get("/images/json/json"), image(ImageRoute::Inspect, "json"));
    assert_eq!(get("/images/a/history"), image(ImageRoute::History, "a"));
    assert_eq!(post("/images/a/b/tag"), image(ImageRoute::Tag, "a/b"));
    assert_eq!(
        route(&Method::DELETE, "/images/a/b@sha256:12"),
        image(ImageRoute::Remove, "a/b@sha256:12")
    );
    assert_eq!(post("/images/a:5000/b/push"), image(ImageRoute::Push, "a:5000/b"));
    assert_eq!(get("/images/search"), Route::ImageSearch);
    assert_eq!(get("/images/json"), Route::ImageList);
    assert_eq!(post("/images/create"), Route::ImageCreate);
    assert_eq!(route(&Method::DELETE, "/images"), Route::Unknown);
    assert_eq!(post("/images/tag"), Route::Unknown);
}

#[test]
fn everything_else() {
    let container = |to| Route::Container(to, "web".to_owned());
    assert_eq!(get("/containers/web/json"), container(ContainerRoute::Inspect));
    assert_eq!(post("/containers/web/attach"), container(ContainerRoute::Attach));
    assert_eq!(
        route(&Method::DELETE, "/containers/web"),
        container(ContainerRoute::Remove)
    );
    assert_eq!(post("/containers/create"), Route::ContainerCreate);
    assert_eq!(get("/containers/json"), Route::ContainerList);
    assert_eq!(get("/exec/1/json"), Route::ExecInspect("1".to_owned()));
    assert_eq!(
        get("/hyper/v1/containers/web/plan"),
        Route::Plan("web".to_owned())
    );
    assert_eq!(post("/hyper/v1/halt"), Route::Halt);
    assert_eq!(get("/hyper/v1/halt"), Route::Unknown);
    assert_eq!(route(&Method::HEAD, "/_ping"), Route::Ping);
    assert_eq!(post("/build"), Route::Unsupported("building images"));
    assert_eq!(post("/networks/create"), Route::NetworkCreate);
    let floating = |to| Route::Floating(to, "192.0.2.1".to_owned());
    assert_eq!(get("/hyper/v1/fips"), Route::FloatingList);
    assert_eq!(post("/hyper/v1/fips/allocate"), Route::FloatingAllocate);
    assert_eq!(
        post("/hyper/v1/fips/192.0.2.1/associate"),
        floating(FloatingRoute::Associate)
    );
    assert_eq!(
        route(&Method::DELETE, "/hyper/v1/fips/192.0.2.1"),
        floating(FloatingRoute::Release)
    );
    let group = |to| Route::Group(to, "web".to_owned());
    assert_eq!(get("/hyper/v1/sgs/web"), group(GroupRoute::Inspect));
    assert_eq!(post("/hyper/v1/sgs/web/update"), group(GroupRoute::Update));
    assert_eq!(post("/hyper/v1/sgs/create"), Route::GroupCreate);
    for unknown in [
        "/",
        "/grpc",
        "/session",
        "/containers",
        "/containers/web",
        "/nothing",
        "/images/%zz/json",
    ] {
        assert_eq!(get(unknown), Route::Unknown, "{unknown}");
    }
    assert_eq!(post("/grpc"), Route::Unknown);
    assert_eq!(get("/containers/web/start"), Route::Unknown);
}

proptest! {
    #[test]
    fn any_name_comes_through(name in "[a-z0-9][a-z0-9._-]{0,10}(/[a-z0-9][a-z0-9._-]{0,10}){0,3}(:[a-z0-9]{1,5})?") {
        prop_assert_eq!(post(&format!("/images/{name}/tag")), Route::Image(ImageRoute::Tag, name.clone()));
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(get(&format!("/images/{encoded}/json")), Route::Image(ImageRoute::Inspect, name));
    }

    #[test]
    fn any_path_is_routed(path in "/?[a-z0-9%/._v-]{0,60}") {
        if let Ok((_, rest)) = split_version(&path) {
            let _ = get(rest);
            let _ = post(rest);
        }
    }
}
