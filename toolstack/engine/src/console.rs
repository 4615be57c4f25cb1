//! What a guest wrote to its console, as text that can be shown: nothing in it is trusted.

/// So many lines of the log are looked for: the console has those of weight only.
const MAX_KNOWN_LINES: usize = 500;

/// The lines of the console that `known`, a log of the kernel's messages, does not have: what comes after the last line
/// that is in both.
pub fn after(known: &[u8], console: &[u8]) -> Vec<u8> {
    let clean = plain(console);
    let seen = known
        .split(|byte| *byte == b'\n')
        .rev()
        .filter(|line| !line.is_empty())
        .take(MAX_KNOWN_LINES)
        .find_map(|line| find_last(&clean, line));
    let rest = match seen {
        Some(at) => &clean[at..],
        None => &clean[..],
    };
    let start = rest.iter().take_while(|byte| **byte == b'\n').count();
    let mut rest = rest[start..].to_vec();
    if rest.last().is_some_and(|byte| *byte != b'\n') {
        rest.push(b'\n');
    }
    rest
}

/// Where the text after the last appearance of `line` begins.
fn find_last(text: &[u8], line: &[u8]) -> Option<usize> {
    let mut windows = text.windows(line.len());
    windows
        .rposition(|window| window == line)
        .map(|at| at + line.len())
}

/// Printable ASCII and ends of lines.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| matches!(byte, b'\n' | b'\t' | 0x20..=0x7e);
    bytes.iter().copied().filter(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_new_is_given() {
        let known = b"[ 1.0] one\n[ 2.0] two\n";
        let console = b"tail of an old line\r\n[ 2.0] two\r\n[ 3.0] Kernel panic\r\n\x1b[0m[ 4.0] end";
        assert_eq!(after(known, console), b"[ 3.0] Kernel panic\n[0m[ 4.0] end\n");
        let quiet = b"[ 2.0] two\r\n[ 3.0] Kernel panic\r\n";
        assert_eq!(
            after(b"[ 2.0] two\n[ 2.5] less\n", quiet),
            b"[ 3.0] Kernel panic\n"
        );
        assert_eq!(after(b"", b"a\r\nb"), b"a\nb\n");
        assert_eq!(after(b"other\n", b"a\n"), b"a\n");
        assert_eq!(after(b"a\n", b"a\r\n"), b"");
    }

    proptest! {
        #[test]
        fn whatever_is_there_stays_bounded_and_plain(known: Vec<u8>, console: Vec<u8>) {
            let new = after(&known, &console);
            prop_assert!(new.len() <= console.len() + 1);
            prop_assert_eq!(plain(&new), new);
        }
    }
}
