//! Patterns of filters. Docker takes regular expressions for names and ids; what people write there is `^web`, `db$`
//! and `web.*`, which is what [`found`] knows: `^ $ . *` and `\` (Kernighan and Pike, The Practice of Programming, 9.2).
//! [`glob`] is for images' references.

/// A pattern longer than this matches nothing: each `*` may cost a pass over the text.
const MAX_PATTERN: usize = 256;

/// Whether the expression is found anywhere in the text.
pub fn found(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    if pattern.len() > MAX_PATTERN || pattern.iter().filter(|c| **c == '*').count() > 8 {
        return false;
    }
    match pattern.as_slice() {
        ['^', rest @ ..] => here(rest, &text),
        all => (0..=text.len()).any(|start| here(all, &text[start..])),
    }
}

fn here(pattern: &[char], text: &[char]) -> bool {
    let (one, escaped, rest) = match pattern {
        [] => return true,
        ['$'] => return text.is_empty(),
        ['\\', one, rest @ ..] => (*one, true, rest),
        [one, rest @ ..] => (*one, false, rest),
    };
    let fits = |c: &char| (one == '.' && !escaped) || *c == one;
    if let ['*', rest @ ..] = rest {
        let most = text.iter().take_while(|c| fits(c)).count();
        return (0..=most).any(|taken| here(rest, &text[taken..]));
    }
    text.first().is_some_and(fits) && here(rest, &text[1..])
}

/// Shell pattern over the whole text: `*` and `?` stop at a slash.
pub fn glob(pattern: &str, text: &str) -> bool {
    fn at(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => {
                let most = text.iter().take_while(|byte| **byte != b'/').count();
                (0..=most).any(|taken| at(rest, &text[taken..]))
            }
            [b'?', rest @ ..] => text.first().is_some_and(|byte| *byte != b'/') && at(rest, &text[1..]),
            [one, rest @ ..] => text.first() == Some(one) && at(rest, &text[1..]),
        }
    }
    pattern.len() <= MAX_PATTERN
        && pattern.bytes().filter(|byte| *byte == b'*').count() <= 8
        && at(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write() {
        for (pattern, text, expected) in [
            ("web", "my-web-1", true),
            ("^web$", "web", true),
            ("^web$", "web2", false),
            ("^/?web", "web", false),
            ("web.*1", "web-11", true),
            ("^w.b$", "wab", true),
            ("db$", "mydb", true),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("", "anything", true),
            ("web", "", false),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern} in {text}");
        }
        for (pattern, text, expected) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("*:1.?", "app:1.2", true),
            ("app", "app2", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} of {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_found_in_itself(before in "[a-z0-9-]{0,10}", text in "[a-z0-9-]{0,10}", after in "[a-z0-9-]{0,10}") {
            let all = format!("{before}{text}{after}");
            prop_assert!(found(&text, &all));
            let anchored = format!("^{all}$");
            prop_assert!(found(&anchored, &all));
            prop_assert!(glob(&all, &all));
        }
    }
}
