//! Paths as Go's `path/filepath` and docker's `archive` take them apart: what stands at their end decides what is copied.

/// Without `.`, `..` and double slashes, by the letters alone; what is empty is `.`.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&b"..") | None if absolute => {}
                Some(&b"..") | None => parts.push(part),
                Some(_) => drop(parts.pop()),
            },
            name => parts.push(name),
        }
    }
    let joined = parts.join(&b'/');
    match (absolute, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// The last component, without slashes behind it.
pub fn base(path: &[u8]) -> &[u8] {
    let Some(end) = path.iter().rposition(|byte| *byte != b'/') else {
        return if path.is_empty() { b"." } else { b"/" };
    };
    let path = &path[..=end];
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    &path[start..]
}

/// `a/.`: the contents of a directory.
pub fn is_current(path: &[u8]) -> bool {
    base(path) == b"."
}

/// `a/`: has to be a directory.
pub fn has_slash(path: &[u8]) -> bool {
    path.ends_with(b"/")
}

/// Gives a path that was cleaned the end that it had before.
pub fn keep_end(mut cleaned: Vec<u8>, original: &[u8]) -> Vec<u8> {
    if !is_current(&cleaned) && is_current(original) {
        if !has_slash(&cleaned) {
            cleaned.push(b'/');
        }
        cleaned.push(b'.');
    }
    if !has_slash(&cleaned) && has_slash(original) {
        cleaned.push(b'/');
    }
    cleaned
}

/// A path in a container, from its root.
pub fn absolute(path: &[u8]) -> Vec<u8> {
    keep_end(clean(&[b"/", path].concat()), path)
}

/// Directory and name; the contents of a directory are the name `.` in it.
pub fn split(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut cleaned = clean(path);
    if is_current(path) {
        cleaned.extend_from_slice(b"/.");
    }
    let directory = match cleaned.iter().rposition(|byte| *byte == b'/') {
        Some(at) => clean(&cleaned[..=at]),
        None => b".".to_vec(),
    };
    let name = base(&cleaned).to_vec();
    (directory, name)
}

pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"" => name.to_vec(),
        directory if has_slash(directory) => [directory, name].concat(),
        directory => [directory, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, cleaned) in [
            ("", "."),
            ("/", "/"),
            ("//a//b/", "/a/b"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("a/./b/.", "a/b"),
            ("/a/..", "/"),
        ] {
            assert_eq!(text(&clean(path.as_bytes())), cleaned, "{path}");
        }
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        for (path, kept) in [
            ("a", "/a"),
            ("/a/", "/a/"),
            ("/a/.", "/a/."),
            ("/", "/"),
            (".", "/."),
            ("../../x", "/x"),
            ("/a/..", "/"),
        ] {
            assert_eq!(text(&absolute(path.as_bytes())), kept, "{path}");
        }
    }

    #[test]
    fn directory_and_name() {
        for (path, directory, name) in [
            ("/a/b", "/a", "b"),
            ("/a/b/", "/a", "b"),
            ("/a/.", "/a", "."),
            ("a", ".", "a"),
            ("/", "/", "/"),
            ("/a", "/", "a"),
            (".", ".", "."),
        ] {
            let (found_directory, found_name) = split(path.as_bytes());
            assert_eq!(
                (text(&found_directory), text(&found_name)),
                (directory, name),
                "{path}"
            );
        }
        assert_eq!(
            (base(b"/"), base(b"a/."), base(b"a//")),
            (&b"/"[..], &b"."[..], &b"a"[..])
        );
    }
}
