//! Logins to registries, kept where docker keeps them: `config.json` of `$DOCKER_CONFIG` or `~/.docker`, or a credential
//! helper that it names.
//!
//! Helpers: <https://github.com/docker/docker-credential-helpers>.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::{BASE64, BASE64URL};
use serde_json::{Map, Value, json};

use crate::verbs::text;

/// Under which docker.io is kept.
pub const DOCKER_IO: &str = "https://index.docker.io/v1/";
/// What a helper says when it knows nothing.
const UNKNOWN: &str = "credentials not found";

/// A login, as `X-Registry-Auth` and `/auth` take it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Login {
    pub username: String,
    pub password: String,
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    #[serde(rename = "serveraddress")]
    pub server: String,
}

impl Login {
    pub fn header(&self) -> String {
        BASE64URL.encode(json!(self).to_string().as_bytes())
    }
}

/// The key of a registry: its `host[:port]`, but for docker's own.
pub fn server(address: &str) -> String {
    match host(address) {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_IO.to_owned(),
        host => host.to_owned(),
    }
}

fn host(address: &str) -> &str {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    rest.split('/').next().unwrap_or_default()
}

pub struct Config {
    path: PathBuf,
    /// Whatever else it says is kept.
    content: Map<String, Value>,
}

impl Config {
    pub fn load() -> Result<Self> {
        let folder = match env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => env::home_dir()
                .context("HOME is not set: set it or DOCKER_CONFIG")?
                .join(".docker"),
        };
        Self::read(folder.join("config.json"))
    }

    fn read(path: PathBuf) -> Result<Self> {
        let content = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { path, content })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program that keeps the logins of `server`, if it is not this file.
    pub fn helper(&self, server: &str) -> Option<String> {
        let own = self
            .content
            .get("credHelpers")
            .and_then(|helpers| helpers.get(server).or_else(|| helpers.get(host(server))));
        let name = own.or_else(|| self.content.get("credsStore"))?.as_str()?;
        // It becomes the name of a program.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (!name.is_empty() && name.bytes().all(plain)).then(|| format!("docker-credential-{name}"))
    }

    pub fn find(&self, server: &str) -> Result<Option<Login>> {
        match self.helper(server) {
            Some(helper) => from_helper(&helper, server),
            None => Ok(self.entry(server).and_then(|entry| login_of(entry, server))),
        }
    }

    fn entry(&self, server: &str) -> Option<&Value> {
        let logins = self.content.get("auths")?.as_object()?;
        // Older files have whole addresses.
        logins.get(server).or_else(|| {
            let same = |(key, _): &(&String, &Value)| host(key) == host(server);
            logins.iter().find(same).map(|(_, entry)| entry)
        })
    }

    /// Keeps a login for the next time.
    pub fn store(&mut self, login: &Login) -> Result<()> {
        let entry = match self.helper(&login.server) {
            Some(helper) => {
                let secret = json!({
                    "ServerURL": login.server, "Username": login.username, "Secret": login.password,
                });
                ask(&helper, "store", &secret.to_string())?.map_err(|said| anyhow!("{helper}: {said}"))?;
                json!({})
            }
            None => {
                let pair = format!("{}:{}", login.username, login.password);
                json!({ "auth": BASE64.encode(pair.as_bytes()) })
            }
        };
        let logins = self.content.entry("auths").or_insert_with(|| json!({}));
        logins
            .as_object_mut()
            .with_context(|| format!("\"auths\" in {} is not an object", self.path.display()))?
            .insert(login.server.clone(), entry);
        self.write()
    }

    /// Forgets a login. Whether there was one.
    pub fn erase(&mut self, server: &str) -> Result<bool> {
        let mut known = false;
        if let Some(helper) = self.helper(server) {
            known = from_helper(&helper, server)?.is_some();
            if known {
                ask(&helper, "erase", server)?.map_err(|said| anyhow!("{helper}: {said}"))?;
            }
        }
        if let Some(logins) = self.content.get_mut("auths").and_then(Value::as_object_mut) {
            let before = logins.len();
            logins.retain(|key, _| key != server && host(key) != host(server));
            if logins.len() != before {
                self.write()?;
                known = true;
            }
        }
        Ok(known)
    }

    /// All or nothing, and readable to its owner only.
    fn write(&self) -> Result<()> {
        // Who links the file elsewhere wants that one written.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let new = path.with_extension(format!("json.{}", std::process::id()));
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            let mut text = serde_json::to_vec_pretty(&self.content)?;
            text.push(b'\n');
            let written = file
                .write_all(&text)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&new, &path));
            if written.is_err() {
                let _ = fs::remove_file(&new);
            }
            written
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn login_of(entry: &Value, server: &str) -> Option<Login> {
    let text = |key| text(entry, key).to_owned();
    let pair = BASE64.decode(text("auth").as_bytes()).ok();
    let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        // Docker once filled it up with zeros.
        Some((user, password)) => (user.to_owned(), password.trim_end_matches('\0').to_owned()),
        None => (text("username"), text("password")),
    };
    let login = Login {
        username,
        password,
        identity_token: text("identitytoken"),
        server: server.to_owned(),
    };
    (!login.username.is_empty() || !login.identity_token.is_empty()).then_some(login)
}

fn from_helper(helper: &str, server: &str) -> Result<Option<Login>> {
    let answer = match ask(helper, "get", server)? {
        Ok(answer) => answer,
        Err(said) if said.contains(UNKNOWN) => return Ok(None),
        Err(said) => bail!("{helper}: {said}"),
    };
    let answer: Value =
        serde_json::from_str(&answer).with_context(|| format!("{helper} did not answer in JSON"))?;
    let text = |key| text(&answer, key).to_owned();
    let (username, secret) = (text("Username"), text("Secret"));
    // A secret without a user is a token.
    let (username, password, identity_token) = match username.as_str() {
        "<token>" => (String::new(), String::new(), secret),
        _ => (username, secret, String::new()),
    };
    Ok(Some(Login {
        username,
        password,
        identity_token,
        server: server.to_owned(),
    }))
}

/// What a helper answers, or what it says when it fails.
fn ask(helper: &str, verb: &str, input: &str) -> Result<Result<String, String>> {
    let start = || format!("cannot run the credential helper {helper}: is it installed?");
    let mut child = Command::new(helper)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(start)?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(server: &str) -> Login {
        Login {
            username: "me".to_owned(),
            password: "a:b".to_owned(),
            identity_token: String::new(),
            server: server.to_owned(),
        }
    }

    #[test]
    fn servers_are_named_as_docker_names_them() {
        for (address, key) in [
            ("", DOCKER_IO),
            ("docker.io", DOCKER_IO),
            (DOCKER_IO, DOCKER_IO),
            ("https://host.example/v2/", "host.example"),
            ("localhost:5000", "localhost:5000"),
        ] {
            assert_eq!(server(address), key);
        }
    }

    #[test]
    fn a_login_is_kept_beside_what_is_there_and_forgotten() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.json");
        let mut config = Config::read(path.clone()).unwrap();
        config.store(&login("host:1")).unwrap();
        fs::write(
            &path,
            r#"{"psFormat":"x","auths":{"host:1":{"auth":"bWU6YTpi"},"https://old.example/v1/":{"auth":"bWU6YTpi"}}}"#,
        )
        .unwrap();
        let mut config = Config::read(path.clone()).unwrap();
        assert_eq!(config.find("host:1").unwrap(), Some(login("host:1")));
        assert_eq!(config.find("old.example").unwrap(), Some(login("old.example")));
        assert_eq!(config.find(DOCKER_IO).unwrap(), None);
        config.store(&login(DOCKER_IO)).unwrap();
        assert!(config.erase("host:1").unwrap());
        assert!(!config.erase("host:1").unwrap());
        let config = Config::read(path.clone()).unwrap();
        assert_eq!(config.content["psFormat"], "x");
        assert_eq!(config.find(DOCKER_IO).unwrap(), Some(login(DOCKER_IO)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_helper_is_the_registrys_own_or_everybodys() {
        let content =
            json!({ "credsStore": "all", "credHelpers": { "a.example": "one", "b.example": "../x" } });
        let config = Config {
            path: PathBuf::new(),
            content: content.as_object().unwrap().clone(),
        };
        assert_eq!(
            config.helper("a.example").as_deref(),
            Some("docker-credential-one")
        );
        assert_eq!(config.helper(DOCKER_IO).as_deref(), Some("docker-credential-all"));
        assert_eq!(config.helper("b.example"), None);
    }

    #[test]
    fn the_header_is_base64_of_json() {
        let header = BASE64URL.decode(login("h").header().as_bytes()).unwrap();
        let value: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(
            value,
            json!({ "username": "me", "password": "a:b", "serveraddress": "h" })
        );
    }
}
